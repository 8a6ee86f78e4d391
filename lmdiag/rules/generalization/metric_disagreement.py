import numpy as np

from lmdiag.evaluations import Rise, fallen
from lmdiag.figures import figure
from lmdiag.finding import Curve, Finding, Findings, Severity, rule, too_few
from lmdiag.naming import evaluation_set
from lmdiag.run import Run, Series
from lmdiag.stats.windows import median
from lmdiag.task_measures import HIGHER_IS_BETTER, better_later


@rule(family="generalization", needs=("evaluation",), severity=Severity.INFO, min_points=4)
def check(run: Run, evaluation: Curve, *, smallest: float = 0.05, warning: float = 0.10) -> Findings:
    """Evaluation loss and accuracy move against each other.

    ## What it looks for
    Two measures of the same evaluations that would choose different checkpoints.

    ## How it decides
    The evaluation loss ends at least `smallest` (5%) above its best value, while a measure of the task on the same split (accuracy, F1, AUC, Matthews, ROUGE,
    BLEU, or an error rate) ends 0.01 better than it was at the best loss: information.

    Or one that should be high ends `smallest` below the level of its best evaluations, of six or more, while the loss ends no higher than it was there. As in
    `overfitting`, a fit that falls for good must be closer than one that only rises, by 34 variances of one evaluation, and more where the log has several scores. Scores wander, so
    that the deviation is three times what second differences show, and at least the chance of 2,500 answers. A warning from `warning` (10%) on: what the model is for gets worse, and the
    loss hides it.

    ## Why it matters
    A loss that rises: the model becomes surer of its right and its wrong answers alike, and accuracy improves where calibration does not. An accuracy that
    falls under a loss that falls: the labels of the two differ, the loss is that of other texts, or an earlier skill is forgotten. Which
    checkpoint is best depends on what it is for.

    ## False alarms it avoids
    Metrics that stand still, gains within 0.01, runs without another metric, scores that wander around chance (one series in 200, up to a correlation of neighbours of 0.7), scores below
    a tenth.

    ## What to try
    Select by the measure you will be judged on, and say which. For probabilities, choose the best loss or calibrate afterwards.

    ## References
    - Guo et al. 2017, On calibration of modern neural networks, arXiv:1706.04599.
    """
    metric, losses = evaluation
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


def _lost(run: Run, losses: Series, smallest: float) -> tuple[str, Series, Rise] | None:
    """Return the score that fell most, by its own level, since it was best, while the loss did not rise; None where none did."""
    measured = {
        name: series.finite
        for name, series in run.series.items()
        if evaluation_set(name) and HIGHER_IS_BETTER.search(name.rpartition("/")[2])
    }
    found = []
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
    return Finding(
        f"{name} was best at {run.place_of(name, step)} ({figure(float(scores.values[best]))}) and has fallen since, from a level of "
        f"{figure(fell.low)} to {figure(end)}: by {-fell.share:.1%}; {metric} did not rise meanwhile, and is {figure(loss)} at the end.",
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
            "Compare the texts and labels of the two: a loss that falls while the answers get worse is the loss of something else.",
            "If it is an earlier skill, mix examples of it into the training, or lower the learning rate.",
        ),
        Severity.WARNING if -fell.share >= warning else Severity.INFO,
    )
