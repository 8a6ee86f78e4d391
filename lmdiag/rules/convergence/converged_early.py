import numpy as np

from lmdiag.figures import figure
from lmdiag.finding import NOT_POSITIVE, Curve, Finding, Findings, Severity, rule, too_few
from lmdiag.run import Run
from lmdiag.stats.limits import EQUAL, EQUAL_SIGMAS
from lmdiag.stats.noise import scatter
from lmdiag.stats.windows import median

LEAST_TAIL = 5


@rule(family="convergence", needs=("evaluation",), severity=Severity.INFO, min_points=6)
def check(run: Run, evaluation: Curve, *, share: float = 0.65, band: float = EQUAL) -> Findings:
    """Evaluation loss was as good long before the end of the run.

    ## What it looks for
    A run whose last third or more bought nothing that its evaluations can see.

    ## How it decides
    From the first evaluation on that lies within a band of the last three (median), all later ones lie within it: `band` (0.5%) of the level, or two
    standard deviations of the evaluations in the second half if that is more. That evaluation stands at `share` (65%) of the run or earlier, and at least three follow.
    Evaluations that rise again leave the band: that is overfitting.

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
    equal = max(band * end, EQUAL_SIGMAS * sigma)
    outside = np.flatnonzero(np.abs(losses.values - end) > equal)
    first = int(outside[-1]) + 1 if len(outside) else 0
    span = int(losses.steps[-1]) - run.first_step
    used = (int(losses.steps[min(first, len(losses) - 1)]) - run.first_step) / max(span, 1)
    if not 1 <= first <= len(losses) - 4 or used > share:
        return
    step = int(losses.steps[first])
    yield Finding(
        f"{metric} has stayed within {equal / end:.1%} of {figure(end)} since {run.place(step)}: "
        f"it shows no gain over the last {1 - used:.0%} of the run.",
        step,
        int(losses.steps[-1]),
        metric,
        {"level": end, "band": equal, "share_after": 1 - used, "evaluations_after": len(losses) - first - 1},
        (
            f"Stop near {run.place(step)} next time, or let the learning rate end there.",
            "Spend the steps on a larger model or on more data instead.",
        ),
    )
