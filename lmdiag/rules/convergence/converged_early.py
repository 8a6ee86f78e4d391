import numpy as np

from lmdiag.beginning import holds_start
from lmdiag.figures import figure
from lmdiag.finding import NOT_POSITIVE, Curve, Finding, Findings, Severity, rule, too_few
from lmdiag.run import Run
from lmdiag.stats.limits import EQUAL, EQUAL_SIGMAS, FROM_SCRATCH
from lmdiag.stats.noise import MEDIAN_ERROR, scatter
from lmdiag.stats.trend import mann_kendall, total_gain
from lmdiag.stats.windows import median

LEAST_TAIL = 5
HALF, EVALUATIONS_THERE = 0.5, 5  # of the run without a gain, and evaluations that say so, for a warning
PRECISE = 0.02  # of their level: what evaluations may scatter by to say that nothing was gained
FALLING = -1.0  # standard deviations of the rank trend: of simulated falls, a wider band makes no more stretches without a gain than the least one
GAINED = 0.01  # of the level of the training loss


@rule(family="convergence", needs=("evaluation",), severity=Severity.INFO, min_points=6)
def check(run: Run, evaluation: Curve, *, share: float = 0.65, band: float = EQUAL) -> Findings:
    """Evaluation loss was as good long before the end of the run.

    ## What it looks for
    A run whose last third or more bought nothing that its evaluations can see.

    ## How it decides
    From the first evaluation on that lies within a band of the last three (median), all later ones lie within it: `band` (0.5%) of the level, or two
    standard deviations of the evaluations in the second half if that is more, or of many as many as one of them is away by chance. Of a band that scatter has made wider than `band` the first evaluations are left out until the rest does not fall, by one standard deviation of the
    rank trend: a slow fall fits into it, too. That evaluation stands at `share` (65%) of the run or earlier, and at least three follow.
    Evaluations that rise again leave the band: that is overfitting. It is information; a warning where the run began from scratch (6 nats or more) and half of it or
    more, with six evaluations and a band of 2% at most, brought neither them nor the training loss (1%) anything: a language model that learns from scratch goes on
    to gain by a power law, and by the decay of the learning rate.

    ## Why it matters
    The compute after that step could have gone into a larger model or more data.

    ## False alarms it avoids
    Evaluations too noisy to tell (scatter above 2% of the level), fewer than six evaluations, a run that never improved.

    ## What to try
    Stop there next time (patience), or plan the decay of the learning rate to end there.

    ## References
    - Prechelt 1998, Early stopping - but when?, doi:10.1007/3-540-49430-8_3.
    """
    metric, losses = evaluation
    if len(losses) < 6:
        yield too_few(len(losses), "finite evaluations", 6)
        return
    end = float(median(losses.values[-3:]))
    sigma = scatter(losses.values[-max(LEAST_TAIL, len(losses) // 2) :])  # the steep start would pass for scatter
    if end <= 0:
        yield NOT_POSITIVE
        return
    if sigma > 0.02 * end:
        return
    # Deviations of one of so many from a median of three
    many = float(np.sqrt(2 * np.log(len(losses)) * (1 + MEDIAN_ERROR**2 / 3)))
    equal = max(band * end, max(EQUAL_SIGMAS, many) * sigma)
    outside = np.flatnonzero(np.abs(losses.values - end) > equal)
    first = int(outside[-1]) + 1 if len(outside) else 0
    if first and equal > band * end:
        first = _without_trend(losses.values, first)
    span = int(losses.steps[-1]) - run.first_step
    used = (int(losses.steps[min(first, len(losses) - 1)]) - run.first_step) / max(span, 1)
    if not 1 <= first <= len(losses) - 4 or used > share:
        return
    step = int(losses.steps[first])
    stuck = (
        1 - used >= HALF and equal <= PRECISE * end and len(losses) - first > EVALUATIONS_THERE and _stuck(run, step)
    )
    yield Finding(
        f"{metric} has stayed within {equal / end:.1%} of {figure(end)} since {run.place(step)}: "
        f"it shows no gain over the last {1 - used:.0%} of the run{', and neither does the training loss' if stuck else ''}.",
        step,
        int(losses.steps[-1]),
        metric,
        {"level": end, "band": equal, "share_after": 1 - used, "evaluations_after": len(losses) - first - 1},
        (
            f"Look at what changed near {run.place(step)}: data order, mixture, learning rate, frozen weights.",
            f"If nothing did, the model has learned what it can hold: stop near {run.place(step)}, or train a larger one.",
        )
        if stuck
        else (
            f"Stop near {run.place(step)} next time, or let the learning rate end there.",
            "Spend the steps on a larger model or on more data instead.",
        ),
        Severity.WARNING if stuck else Severity.INFO,
    )


def _without_trend(values: np.ndarray, first: int) -> int:
    """Return the row at or behind the first one from which the values do not fall."""
    while mann_kendall(values[first:]) < FALLING:
        first += 1
    return first


def _stuck(run: Run, step: int) -> bool:
    """Tell whether the training loss of a model that began from scratch has gained nothing since a step, either."""
    if not run.per_token or "loss" not in run:
        return False
    trained = run["loss"].finite
    rest = trained.values[trained.steps >= step]
    if (
        not len(rest)
        or max(trained.values[0], median(trained.values[:3])) < FROM_SCRATCH
        or not holds_start(run, trained)
    ):
        return False
    gain, _ = total_gain(rest, skip=0.0)
    return gain < GAINED * float(median(rest))
