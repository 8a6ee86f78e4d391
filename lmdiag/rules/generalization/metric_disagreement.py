import numpy as np

from lmdiag.figures import figure
from lmdiag.finding import Curve, Finding, Findings, Severity, rule, too_few
from lmdiag.run import Run
from lmdiag.stats.windows import median
from lmdiag.task_measures import better_later


@rule(family="generalization", needs=("evaluation",), severity=Severity.INFO, min_points=4)
def check(run: Run, evaluation: Curve, *, smallest: float = 0.05) -> Findings:
    """Evaluation loss rises while accuracy still improves.

    ## What it looks for
    Two measures of the same evaluations that would choose different checkpoints.

    ## How it decides
    The evaluation loss ends at least `smallest` (5%) above its best value, while a measure of the task on the same split (accuracy, F1, AUC, Matthews, ROUGE,
    BLEU, or an error rate) ends 0.01 better than it was at the best loss.

    ## Why it matters
    The model becomes surer of its right and its wrong answers alike: accuracy improves, calibration does not. Which checkpoint is best depends on
    what it is for.

    ## False alarms it avoids
    Metrics that stand still, gains within 0.01, runs without another metric.

    ## What to try
    Select by the measure you will be judged on, and say which. For probabilities, choose the best loss or calibrate afterwards.

    ## References
    - Guo et al. 2017, On calibration of modern neural networks, arXiv:1706.04599.
    """
    metric, losses = evaluation
    if len(losses) < 4:
        yield too_few(len(losses), "finite evaluations", 4)
        return
    best = int(np.argmin(losses.values))
    rise = float(median(losses.values[-2:])) / max(float(losses.values[best]), 1e-12) - 1
    if rise < smallest:
        return
    better = better_later(run, metric, int(losses.steps[best]))
    if better is None:
        return
    yield Finding(
        f"{metric} was best at {run.place(int(losses.steps[best]))} and the median of its last two values is {rise:,.0%} "
        f"higher, while {better.name} is best at {run.place(better.step)} ({figure(better.value)}, against {figure(better.then)} at the best loss).",
        int(losses.steps[best]),
        int(losses.steps[-1]),
        metric,
        {"loss_rise": rise, "gain_of_metric": abs(better.value - better.then)},
        (
            f"Select by what the model is for: {run.place(better.step)} for {better.name.rpartition('/')[2]}, "
            f"{run.place(int(losses.steps[best]))} for probabilities.",
            "Calibrate the later checkpoint (temperature) if it must give probabilities.",
        ),
    )
