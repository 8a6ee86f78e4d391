import numpy as np

from lmdiag.figures import figure
from lmdiag.finding import Curve, Finding, Findings, Severity, rule, too_few
from lmdiag.run import Run, Series
from lmdiag.stats.limits import MOST_EVALUATIONS
from lmdiag.stats.trend import mann_kendall, theil_sen
from lmdiag.stats.windows import median, medians_around

EVALUATIONS = 6
SURE = 2.576  # two-sided 1%
LEAST_NATS, LEAST_SHARE = 0.15, 0.10


@rule(family="generalization", needs=("evaluation_loss", "loss"), severity=Severity.INFO, min_points=EVALUATIONS)
def check(run: Run, evaluation: Curve, training: Series) -> Findings:
    """Gap between evaluation and training loss keeps growing.

    ## What it looks for
    A difference of evaluation and training loss that grows from evaluation to evaluation.

    ## How it decides
    At each evaluation the median of the training losses around it is subtracted. Without the first quarter of the run, the gap must rise in its ranks
    (Mann-Kendall, 1%) and, by Theil-Sen, by 0.15 nat and 10% of the evaluation.

    ## Why it matters
    Growing means that more and more of what is learned holds for the training text alone. It is normal over several epochs, and worth knowing
    before the evaluation turns upwards.

    ## False alarms it avoids
    The start, where the average training loss lags behind; a constant difference of two data sets; few evaluations.

    ## What to try
    Watch the evaluation: as long as it falls, nothing needs doing. When it turns, keep its best checkpoint; more data, fewer epochs.

    ## References
    - Muennighoff et al. 2023, Scaling data-constrained language models, arXiv:2305.16264.
    """
    metric, losses = evaluation
    if len(training) < 2 * EVALUATIONS:
        yield too_few(len(training), "finite values of the loss", 2 * EVALUATIONS)
        return
    start = run.first_step + 0.25 * (run.last_step - run.first_step)
    losses = losses.at(losses.steps >= start).thinned(MOST_EVALUATIONS)
    if len(losses) < EVALUATIONS:
        yield too_few(len(losses), "evaluations after the first quarter of the run", EVALUATIONS)
        return
    gaps = losses.values - medians_around(losses.steps, training.steps, training.values)[0]
    if mann_kendall(gaps) < SURE:
        return
    slope, _ = theil_sen(gaps)
    growth, level = slope * (len(gaps) - 1), float(median(losses.values))
    if growth < max(LEAST_NATS, LEAST_SHARE * abs(level)) or gaps[-1] <= 0:
        return
    since = int(losses.steps[int(np.argmax(gaps > gaps[0] + 0.3 * growth))])
    yield Finding(
        f"The gap between {metric} and the training loss has grown from {figure(gaps[0], 2)} nats "
        f"({run.place(int(losses.steps[0]))}) to {figure(gaps[-1], 2)}, mostly since {run.place(since)}.",
        since,
        int(losses.steps[-1]),
        metric,
        {"growth": growth, "gap": float(gaps[-1]), "gap_before": float(gaps[0])},
        (
            "Nothing to do while the evaluation falls; when it turns, keep its best checkpoint.",
            "More or more varied data, fewer epochs, dropout or weight decay.",
        ),
    )
