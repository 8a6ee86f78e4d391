import numpy as np

from lmdiag.evaluations import Rise, fallen, training_rose
from lmdiag.figures import figure
from lmdiag.finding import Curve, Finding, Findings, NotChecked, Severity, rule, too_few
from lmdiag.naming import evaluation_set
from lmdiag.run import Run, Series
from lmdiag.stats.windows import median
from lmdiag.task_measures import HIGHER_IS_BETTER, better_later

SURE = 4.0  # deviations, where nothing but scores is evaluated


@rule(family="generalization", needs=("curve",), severity=Severity.INFO, min_points=4)
def check(run: Run, curve: Curve, *, smallest: float = 0.05, warning: float = 0.10) -> Findings:
    """Evaluation loss and accuracy move against each other.

    ## What it looks for
    Two measures of the same evaluations that would choose different checkpoints.

    ## How it decides
    The evaluation loss ends at least `smallest` (5%) above its best value, while a measure of the task on the same split (accuracy, F1, AUC, Matthews, ROUGE,
    BLEU, or an error rate) ends 0.01 better than it was at the best loss: information.

    Or one that should be high ends `smallest` below the level of its best evaluations, of six or more, while the loss ends no higher than it was there. As in
    `overfitting`, a fit that falls for good must be closer than one that only rises, by 34 variances of one evaluation, and more where the log has several scores. Scores wander, so
    that the deviation is three times what second differences show, and at least the chance of 2,500 answers. A warning from `warning` (10%) on: what the model is for gets worse, and the
    loss hides it. Where the log has no evaluation loss, the training loss takes its place: it may not have risen since by half of the share that the score fell by.
    The score is then all that tells of it, and a fall by four such deviations, which no other score of the log escapes, is a warning as well.

    ## Why it matters
    A loss that rises: the model becomes surer of its right and its wrong answers alike, and accuracy improves where calibration does not. An accuracy that
    falls under a loss that falls: the labels of the two differ, the loss is that of other texts, or an earlier skill is forgotten. Which
    checkpoint is best depends on what it is for.

    ## False alarms it avoids
    Metrics that stand still, gains within 0.01, runs without another metric, scores that wander around chance (one series in 200, up to a correlation of neighbours of 0.8), scores below
    a tenth.

    ## What to try
    Select by the measure you will be judged on, and say which. For probabilities, choose the best loss or calibrate afterwards.

    ## References
    - Guo et al. 2017, On calibration of modern neural networks, arXiv:1706.04599.
    """
    if run.evaluation is None:
        yield from _without_loss(run, curve.metric, smallest, warning)
        return
    metric, losses = run.evaluation[0], run.evaluation[1].finite
    if len(losses) < 4:
        yield too_few(len(losses), "finite evaluations", 4)
        return
    lost = _lost(run, losses, smallest)
    if lost is not None:
        yield _fell(run, metric, losses, *lost, warning)
        return
    best = int(np.argmin(losses.values))
    rise = float(median(losses.values[-2:])) / max(float(losses.values[best]), 1e-12) - 1
    if rise < smallest:
        return
    better = better_later(run, metric, int(losses.steps[best]))
    if better is None:
        return
    yield Finding(
        f"{metric} was best at {run.place_of(metric, int(losses.steps[best]))} and the median of its last two values is {rise:,.0%} "
        f"higher, while {better.name} is best at {run.place_of(better.name, better.step)} ({figure(better.value)}, against {figure(better.then)} at the best loss).",
        int(losses.steps[best]),
        int(losses.steps[-1]),
        metric,
        {"loss_rise": rise, "gain_of_metric": abs(better.value - better.then)},
        (
            f"Select by what the model is for: {run.place_of(better.name, better.step)} for {better.name.rpartition('/')[2]}, "
            f"{run.place_of(metric, int(losses.steps[best]))} for probabilities.",
            "Calibrate the later checkpoint (temperature) if it must give probabilities.",
        ),
    )


def _scores(run: Run) -> dict[str, Series]:
    """Return the scores of evaluations, of which higher is better."""
    return {
        name: series.finite
        for name, series in run.series.items()
        if evaluation_set(name) not in ("", "train") and HIGHER_IS_BETTER.search(name.rpartition("/")[2])
    }


def _without_loss(run: Run, metric: str, smallest: float, warning: float) -> Findings:
    """Tell of the score that fell most, by its own level, since it was best, while the training loss did not rise."""
    scores = _scores(run)
    if not scores:
        yield NotChecked("the log has no evaluations")
        return
    falls = {name: fallen(series, smallest, len(scores)) for name, series in scores.items()}
    found = [(name, fell) for name, fell in falls.items() if fell is not None]
    if not found:
        return
    name, fell = min(found, key=lambda one: one[1].share)
    if training_rose(run, int(scores[name].steps[np.argmax(scores[name].values)]), -fell.share):
        return
    sure = fell.errors >= SURE and len(found) == len(scores)
    yield _fell(run, metric, run[metric].finite, name, scores[name], fell, smallest if sure else warning)


def _lost(run: Run, losses: Series, smallest: float) -> tuple[str, Series, Rise] | None:
    """Return the score that fell most, by its own level, since it was best, while the loss did not rise; None where none did."""
    measured, found = _scores(run), []
    for name, scores in measured.items():
        fell = fallen(scores, smallest, len(measured))
        if fell is not None and _ends_no_higher(losses, int(scores.steps[np.argmax(scores.values)])):
            found.append((name, scores, fell))
    return min(found, key=lambda one: one[2].share, default=None)


def _ends_no_higher(losses: Series, step: int) -> bool:
    before = losses.values[losses.steps <= step]
    return bool(median(losses.values[-3:]) <= (before[-1] if len(before) else losses.values[0]))


def _fell(run: Run, metric: str, losses: Series, name: str, scores: Series, fell: Rise, warning: float) -> Finding:
    best, end = int(np.argmax(scores.values)), fell.low + fell.rise
    step, loss = int(scores.steps[best]), float(losses.values[-1])
    of = "the training loss" if metric == "loss" else metric
    return Finding(
        f"{name} was best at {run.place_of(name, step)} ({figure(float(scores.values[best]))}) and has fallen since, from a level of "
        f"{figure(fell.low)} to {figure(end)}: by {-fell.share:.1%}; {of} did not rise meanwhile, and is {figure(loss)} at the end.",
        step,
        int(scores.steps[-1]),
        name,
        {
            "best": float(scores.values[best]),
            "level_before": fell.low,
            "end": end,
            "fall_share": -fell.share,
            "loss_at_end": loss,
        },
        (
            f"Keep the checkpoint of {run.place_of(name, step)} if {name} is what counts.",
            "Log the loss of the evaluation, too: where it rises, the model learns its training data by heart."
            if run.evaluation is None
            else "Compare the texts and labels of the two: a loss that falls while the answers get worse is the loss of something else.",
            "If it is an earlier skill, mix examples of it into the training, or lower the learning rate.",
        ),
        Severity.WARNING if -fell.share >= warning else Severity.INFO,
    )
