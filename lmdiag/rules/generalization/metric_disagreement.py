from collections.abc import Iterator

import numpy as np

from lmdiag.finding import Finding, Severity, rule
from lmdiag.run import Run
from lmdiag.stats.windows import median

HIGHER_IS_BETTER = ("accuracy", "f1", "auc")
AT_END = 0.8  # of the evaluations: where the best value of the other metric must lie
LEAST_GAIN = 0.01


@rule(family="generalization", needs=("evaluation",), severity=Severity.INFO, min_points=4)
def check(run: Run, *, smallest: float = 0.05) -> Iterator[Finding]:
    """Evaluation loss rises while accuracy still improves.

    ## What it looks for
    Two measures of the same evaluations that would choose different checkpoints.

    ## How it decides
    The evaluation loss ends at least `smallest` (5%) above its best value, while accuracy, F1 or AUC on the same split is best in the last fifth of the
    evaluations and gained 0.01 since the best loss.

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
    if run.evaluation is None:
        return
    metric, series = run.evaluation
    losses = series.finite
    if len(losses) < 4:
        return
    best = int(np.argmin(losses.values))
    rise = float(median(losses.values[-2:])) / max(float(losses.values[best]), 1e-12) - 1
    if rise < smallest:
        return
    split = metric.rpartition("/")[0]
    for name in HIGHER_IS_BETTER:
        other = run.series.get(f"{split}/{name}")
        if other is None or len(other.finite) < 4:
            continue
        scores = other.finite
        top = int(np.argmax(scores.values))
        then = scores.values[max(0, int(np.searchsorted(scores.steps, losses.steps[best], side="right")) - 1)]
        if top >= AT_END * (len(scores) - 1) and scores.values[top] - then >= LEAST_GAIN:
            yield Finding(
                f"{metric} was best at step {int(losses.steps[best]):,} and has risen by {rise:.0%}, while {split}/{name} is best at step "
                f"{int(scores.steps[top]):,} ({scores.values[top]:.4g}, {then:.4g} at the best loss).",
                int(losses.steps[best]),
                int(losses.steps[-1]),
                metric,
                {"loss_rise": rise, "gain_of_metric": float(scores.values[top] - then)},
                (
                    f"Select by what the model is for: step {int(scores.steps[top]):,} for {name}, step {int(losses.steps[best]):,} for probabilities.",
                    "Calibrate the later checkpoint (temperature) if it must give probabilities.",
                ),
            )
            return
