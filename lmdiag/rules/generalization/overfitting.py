import numpy as np

from lmdiag import advice
from lmdiag.figures import figure
from lmdiag.finding import NOT_POSITIVE, Curve, Finding, Findings, Severity, rule, too_few
from lmdiag.run import Run, Series
from lmdiag.stats.limits import SURE
from lmdiag.stats.noise import scatter
from lmdiag.stats.rebound import left_behind, left_behind_together, sustained_rise
from lmdiag.stats.trend import mann_kendall
from lmdiag.stats.windows import median
from lmdiag.task_measures import Better, better_later

AFTER = 2  # evaluations after the best one; logs of one evaluation per epoch have no more
STEADY = 3  # evaluations that each are worse than the one before: then the last of them counts, and not their mean
MEMORISED_RISE, MEMORISED = 0.10, 0.5
NOISE_BEFORE_BEST = 5
MANY = 15  # evaluations from which the best one is luckily low: the winner's curse


@rule(family="generalization", needs=("evaluation",), severity=Severity.WARNING, min_points=3)
def check(
    run: Run, evaluation: Curve, *, smallest: float = 0.015, warning: float = 0.02, error: float = 0.10
) -> Findings:
    """Evaluation loss rises while training loss does not.

    ## What it looks for
    An evaluation loss that ends above its best value, by more than its noise and still rising, while the training loss goes on falling
    or stays.

    ## How it decides
    The mean of the last three evaluations (fewer if fewer follow the best one; the last alone if three or more since the best rise without a break) minus
    the best. It must be at least three standard deviations (four for the last alone) of the
    evaluations and `smallest` of their level; with more than 15 evaluations the best of them is luckily low, which is added to the noise. The
    evaluations from the best one on must show a rank trend (Mann-Kendall, one-sided 5%). Without a trend it counts if four or more evaluations since
    the best one all stay 5% and two deviations above it; with a single evaluation since, if that is 10% above it and the training loss less than half of
    it. From `warning` on it is a warning, from `error` on an
    error, but for runs whose accuracy, or another measure of the task, ends better than it was at the best loss: there the loss alone does not decide. Several evaluation sets are averaged. Where the training loss rises and stays up as well, or was lowest at the same time and never again, `divergence` says so and this rule is silent.

    ## Why it matters
    The model memorises: every step since the best evaluation made it worse on new text.

    ## False alarms it avoids
    Noisy evaluations, the best of many, a rise of the training loss, evaluations after training, other measures than loss.

    ## What to try
    Keep the checkpoint of the best evaluation and stop there. Then fewer epochs, more data, dropout or weight decay, a lower learning rate, or
    LoRA with a smaller rank.

    ## References
    - Prechelt 1998, Early stopping - but when?, doi:10.1007/3-540-49430-8_3.
    """
    metric, losses = evaluation
    if len(losses) < 3:
        yield too_few(len(losses), "finite evaluations", 3)
        return
    best = int(np.argmin(losses.values))
    after = losses.values[best + 1 :]
    lowest = float(losses.values[best])
    if lowest <= 0:
        yield NOT_POSITIVE
        return
    if not len(after):
        return
    steady = len(after) >= STEADY and bool((np.diff(losses.values[best:]) > 0).all())
    rise = float(after[-1] if steady else np.mean(after[-3:])) - lowest
    sigma = _noise(losses.values, best)
    if len(after) < AFTER:
        clear = _memorised(run, lowest, rise)
        if rise >= smallest * lowest and not clear:  # which one more evaluation could confirm
            yield too_few(len(after), "evaluations since the best one", AFTER)
    else:
        risen = rise >= max((4 if steady else 3) * sigma, smallest * lowest) + _winners_curse(sigma, len(losses))
        clear = (risen and _trend_is_up(losses.values[best:], rise)) or left_behind(losses.values)
    if clear and not _diverges(run, losses):
        yield _finding(run, metric, losses, best, rise, sigma, warning, error)


def _noise(values: np.ndarray, best: int) -> float:
    """Return the scatter of the evaluations around and after the best one, where the curve no longer falls steeply."""
    return scatter(values[min(best, max(0, best - NOISE_BEFORE_BEST, len(values) // 2)) :])


def _winners_curse(sigma: float, evaluations: int) -> float:
    return 0.5 * sigma * float(np.sqrt(2 * np.log(evaluations))) if evaluations > MANY else 0.0


def _trend_is_up(values: np.ndarray, rise: float) -> bool:
    if len(values) <= 4:
        return bool((np.diff(values) >= -0.25 * rise).all())
    return mann_kendall(values) >= SURE


def _diverges(run: Run, evaluations: Series) -> bool:
    """Tell whether the training loss rose as well, and stayed up: then `divergence` says so."""
    if "loss" not in run:
        return False
    losses = run["loss"].finite
    if sustained_rise(losses.values) is not None:
        return True
    judged = run.curve is not None and run.curve[0] == "loss"
    return judged and bool(left_behind_together(losses.steps, losses.values, evaluations.steps, evaluations.values))


def _memorised(run: Run, lowest: float, rise: float) -> bool:
    """Tell whether the evaluation is a tenth worse while the training loss is less than half of it: one evaluation
    shows that."""
    losses = run["loss"].finite.values if "loss" in run else np.empty(0)
    return rise >= MEMORISED_RISE * lowest and len(losses) >= 3 and float(median(losses[-3:])) <= MEMORISED * lowest


def _which_to_keep(run: Run, metric: str, step: int, better: Better) -> str:
    return (
        f"Keep the checkpoint of {run.place(better.step)} if {better.name} counts ({figure(better.value)}), "
        f"that of {run.place(step)} if {metric} does."
    )


def _finding(
    run: Run, metric: str, losses: Series, best: int, rise: float, sigma: float, warning: float, error: float
) -> Finding:
    step, lowest, share = int(losses.steps[best]), float(losses.values[best]), rise / float(losses.values[best])
    better = better_later(run, metric, step)
    sure = share >= error and len(losses) - best > AFTER and better is None
    severity = Severity.ERROR if sure else Severity.WARNING if share >= warning else Severity.INFO
    noise = f", {figure(rise / sigma, 2)} times its noise" if sigma > 0 else ""
    evidence = {
        "best": lowest,
        "end": lowest + rise,
        "rise": rise,
        "rise_share": share,
        "evaluations_after": len(losses) - best - 1,
    }
    epoch = figure(run.value_at("epoch", step) or 0, 2)
    enough = "" if epoch == "0" else f": {epoch} epoch{' is' if epoch == '1' else 's are'} enough"
    return Finding(
        f"{metric} was best at {run.place(step)} ({figure(lowest)}) and has risen by {share:.1%} since{noise}.",
        step,
        int(losses.steps[-1]),
        metric,
        evidence,
        (
            advice.keep_best(run, metric, step, lowest)
            if better is None
            else _which_to_keep(run, metric, step, better),
            f"Stop there next time{enough}, or use early stopping.",
            "More or more varied data; dropout or weight decay; a lower learning rate.",
        ),
        severity,
    )
