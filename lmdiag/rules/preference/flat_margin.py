from __future__ import annotations

import numpy as np

from lmdiag import advice
from lmdiag.figures import figure
from lmdiag.finding import Curve, Finding, Findings, NotChecked, Severity, rule, too_few
from lmdiag.metrics import LN2
from lmdiag.run import Run, Series
from lmdiag.stats.course import SIGMAS, Course, course
from lmdiag.stats.noise import scatter
from lmdiag.stats.windows import median

FLAT = 1.0  # Mann-Kendall z: with a larger one the noise may hide that something is learned
NEAR_LN2 = 0.01  # nats
TWICE = 1.25  # nats: a loss that begins higher may be a sum over two steps of accumulation, which begins at 2 ln 2
LEARNED = 0.6  # nats: a training loss below it has learned something, whatever the evaluation says
EQUAL = 1e-9
FEWEST, FEWEST_LOSSES = 8, 12
MEDIAN_ERROR = 1.25  # of a median, in standard errors of a mean
Loss = tuple[str, Course]


@rule(family="preference", needs=("measured",), severity=Severity.WARNING, min_points=8)
def check(run: Run, curve: Curve, *, near: float = NEAR_LN2) -> Findings:
    """Margin between preferred and rejected answers does not grow.

    ## What it looks for
    Training on preferences that learns no preference: the reward of the preferred answer stays where it was beside that of the rejected one.

    ## How it decides
    The margin ends, by its medians, less than three standard errors above its start, and neither its ranks nor the accuracies rise, nor the losses fall (Mann-Kendall
    z below 1; above it the rule says that the log is too noisy). Or the loss of DPO ends within `near` of ln 2 = 0.693, its value before the first update, or its
    second half lies above ln 2 by three standard errors: that of the evaluations where there are five, which the training loss must bear out. Margins of
    exactly 0 in every record are an error: the two answers of each pair are the same text. Without margins the loss alone is judged so.

    Whether a margin grows by the length of the answers alone is not judged: no trainer logs the lengths of preferred and rejected answers apart, so that nothing
    can be said of what chance does to them.

    ## Why it matters
    The run leaves the model as it was.

    ## False alarms it avoids
    Margins that grow within the noise of small batches, which the loss or the margin of an evaluation shows; logs that begin late; losses with a term of likelihood,
    that begin above 1.25, or that fall while margin and accuracy rise, as those with a margin to reach; an evaluation that gets worse while the training loss is low, which `overfitting` judges.

    ## What to try
    A higher rate: with adapters 1e-5 to 1e-4, for full fine-tuning 5e-7 to 5e-6. Check that the answers differ after truncation, and which of them is called chosen.

    ## References
    - Rafailov et al. 2023, Direct preference optimization, arXiv:2305.18290.
    """
    margins = run["reward_margin"].finite if "reward_margin" in run else None
    if margins is None:
        yield from _by_loss(run, curve, near)
        return
    values = margins.values
    if len(values) < FEWEST:
        yield too_few(len(values), "finite margins", FEWEST)
        return
    if float(np.abs(values).max()) <= EQUAL:
        yield _equal(run, margins)
        return
    moved, losses = course(values), run.series.get("loss")
    loss = course(losses.finite.values) if losses is not None and len(losses.finite) >= 5 else None
    accuracy = run["reward_accuracy"].finite.values if "reward_accuracy" in run else np.empty(0)
    right = course(accuracy) if len(accuracy) >= 5 else None
    above = _above_ln2(run, near)
    if above is not None and above[1].falls and loss and loss.falls and moved.rises and right and right.rises:
        above = None  # all that is logged gets better: another loss than that of DPO, as with a margin to reach
    still = above is not None or _at_ln2(run, loss, near)
    grows = moved.rises or moved.high - moved.start > SIGMAS * moved.error or _evaluation_grows(run)
    if grows and not still:
        return
    trends = [moved.trend, -loss.trend if loss else 0.0, right.trend if right else 0.0]
    if max(trends) >= FLAT and not still:
        yield NotChecked("the margin is too noisy to tell whether it grows")
        return
    yield _finding(run, margins, moved, loss, above or still)


def _by_loss(run: Run, curve: Curve, near: float) -> Findings:
    """Judge a log that holds the loss alone."""
    metric, losses = curve
    if len(losses) < FEWEST_LOSSES:
        yield too_few(len(losses), "finite values of the loss", FEWEST_LOSSES)
        return
    loss = course(losses.values)
    still = _at_ln2(run, loss, near)
    if not still and (loss.falls or loss.start - loss.low > SIGMAS * loss.error):
        return
    if not still and -loss.trend >= FLAT:
        yield NotChecked("the loss is too noisy to tell whether it falls, and the log has no margin")
        return
    stays = "stays at ln 2, where nothing is preferred" if still else "does not fall"
    yield Finding(
        f"The loss of the preferences {_went(loss, 4)}: it {stays}.",
        int(losses.steps[0]),
        int(losses.steps[-1]),
        metric,
        {"start": loss.start, "end": loss.end, "trend_z": loss.trend},
        _advice(run),
    )


def _went(moved: Course, digits: int) -> str:
    start, end = figure(moved.start, digits), figure(moved.end, digits)
    return f"is {start} at the start and at the end" if start == end else f"goes from {start} to {end}"


def _at_ln2(run: Run, loss: Course | None, near: float) -> bool:
    """Tell whether a loss that begins at ln 2 is still there at the end."""
    if loss is None or run.trained_by != "dpo":
        return False
    return abs(loss.end - LN2) <= near and abs(loss.start - LN2) <= 0.02


def _above_ln2(run: Run, near: float) -> Loss | None:
    """Return the loss of DPO whose second half lies above ln 2, by how it is called, and how it moved; None where none does."""
    training = run["loss"].finite.values if "loss" in run else np.empty(0)
    others = any("nll" in name or "sft" in name for name in run.series)  # a term of likelihood lies on top
    if run.trained_by != "dpo" or others or len(training) < FEWEST or median(training[-len(training) // 2 :]) < LEARNED:
        return None
    evaluations = {
        name: s.finite.values for name, s in run.series.items() if name.endswith("/loss") and name != "train/loss"
    }
    known = {name: values for name, values in evaluations.items() if len(values) >= 5} or {"loss": training}
    name, values = next(iter(known.items()))
    moved, late = course(values), values[len(values) // 2 :]
    error = MEDIAN_ERROR * scatter(values) / np.sqrt(len(late))
    above = min(moved.end, float(median(late)) - SIGMAS * error) > LN2 + near and max(moved.start, moved.end) < TWICE
    return (name, moved) if above else None


def _evaluation_grows(run: Run) -> bool:
    sets = [s.finite.values for name, s in run.series.items() if name.endswith("/reward_margin")]
    return any(len(values) >= 5 and course(values).rises for values in sets)


def _equal(run: Run, margins: Series) -> Finding:
    loss = run.value_at("loss", run.last_step)
    loss = loss if loss is not None and np.isfinite(loss) else None
    at = f" and the loss {figure(loss, 3)}" if loss is not None else ""
    return Finding(
        f"The margin is exactly 0 in all {len(margins):,} records{at}: the preferred and the rejected answer are the same.",
        int(margins.steps[0]),
        int(margins.steps[-1]),
        "reward_margin",
        {"records": len(margins), **({"loss": loss} if loss is not None else {})},
        (
            "Compare the two columns of the data: they hold the same text, before or after truncation and template.",
            "If the texts differ, check that the policy is not its own reference: adapters must be off for the reference.",
        ),
        Severity.ERROR,
    )


def _finding(run: Run, margins: Series, moved: Course, loss: Course | None, still: Loss | bool) -> Finding:
    accuracy = run["reward_accuracy"].finite.values if "reward_accuracy" in run else np.empty(0)
    evidence = {"start": moved.start, "end": moved.end, "trend_z": moved.trend}
    if loss is not None:
        evidence["loss"] = loss.end
    if len(accuracy):
        evidence["accuracy"] = float(median(accuracy[-max(3, len(accuracy) // 5) :]))
    why = f"the loss stays at ln 2 ({figure(loss.end, 4)} at the end)" if still and loss else "it does not grow"
    if isinstance(still, tuple):
        name, late = still
        called = "the loss" if name == "loss" else f"the loss of {name.rpartition('/')[0]}"
        why = f"{called} ends at {figure(late.end, 3)}, above ln 2 = 0.693, where a policy that learned nothing is"
        evidence |= {"evaluation": late.end} if name != "loss" else {}
    return Finding(
        f"The margin between preferred and rejected answers {_went(moved, 3)}: {why}.",
        int(margins.steps[0]),
        int(margins.steps[-1]),
        "reward_margin",
        evidence,
        _of_too_high(run) if isinstance(still, tuple) else _advice(run),
    )


def _of_too_high(run: Run) -> tuple[str, ...]:
    first = figure(float(run["loss"].finite.values[0]), 3)
    return (
        f"Check the reference: before the first update the policy must be equal to it and the loss ln 2; the first loss of the log is {first}.",
        advice.lower_peak(run, run.last_step),
        "Read the pairs that are ranked wrongly: a few with large margins outweigh many that are ranked rightly.",
    )


def _advice(run: Run) -> tuple[str, ...]:
    lr = float(np.max(run["lr"].finite.values, initial=0.0)) if "lr" in run else 0.0
    peak = f": its peak is {figure(lr, 3)}; try {figure(5 * lr, 2)}" if lr else ""
    return (
        f"Raise the learning rate{peak}.",
        "Read ten pairs after template and truncation: do they differ, and is the preferred one the better?",
        "Check that the adapters, or all parameters, are trained: the gradient norm must not be 0.",
    )
