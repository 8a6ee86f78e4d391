import numpy as np

from lmdiag.figures import figure
from lmdiag.finding import Curve, Finding, Findings, Severity, rule, too_few
from lmdiag.run import Run, Series
from lmdiag.stats.limits import EQUAL
from lmdiag.stats.noise import median_difference_error, scatter, smoothing
from lmdiag.stats.windows import median

EVALUATIONS = 6
FLAT_SHARE = 0.4  # of the evaluations
# Of thirty evaluations that stand still one lies two off in three of four runs, three off in one of twelve
SIGMAS = 3.0
LEAST_FALL, FALL_ERRORS = 0.10, 8.0
FALL_BESIDE_ONE_NUMBER = 0.05
LEAST_BESIDE = 10  # training losses: fifths of two
FEW = 30  # evaluations: more, one beside each record, may be one result carried forward
SAME = 1e-5  # of the level: weights that are trained move an evaluation by more


@rule(family="generalization", needs=("evaluation", "loss"), severity=Severity.INFO, min_points=EVALUATIONS)
def check(run: Run, evaluation: Curve, training: Series, *, warning: float = 0.6) -> Findings:
    """Evaluation loss stands still while training loss keeps falling.

    ## What it looks for
    The stage before overfitting: what the model still learns about the training text no longer helps on other text.

    ## How it decides
    The last 40% of the evaluations or more lie within a band around the median of their last fifth (0.5% of the level, or three standard deviations, 2% at most), while the
    training loss fell by 10% and eight standard errors over the same steps. A warning where this is `warning` (60%) of the run or more, and where
    these evaluations are one number, to 0.001%, and the training loss fell by 5% or more (of numbers printed with fewer digits all must be one, and 10%): what is evaluated is then not what is trained, or not evaluated anew.

    ## Why it matters
    Further epochs only memorise. The gap to the evaluation is the cost of too little data.

    ## False alarms it avoids
    The average training loss of early steps, which lags behind; evaluations that still fall slowly; noise; fewer than six evaluations; one result
    carried forward beside each record.

    ## What to try
    More or more varied data; regularise; stop where the evaluation stopped.

    ## References
    - Muennighoff et al. 2023, Scaling data-constrained language models, arXiv:2305.16264.
    """
    metric, losses = evaluation
    if len(losses) < EVALUATIONS:
        yield too_few(len(losses), "finite evaluations", EVALUATIONS)
        return
    if len(training) < 2 * EVALUATIONS:
        yield too_few(len(training), "finite values of the loss", 2 * EVALUATIONS)
        return
    end = _end(losses.values)
    band = max(EQUAL * abs(end), SIGMAS * scatter(losses.values))
    least = max(4, FLAT_SHARE * len(losses))
    carried = len(losses) > max(FEW, len(training) // 2)  # the one evaluation there was, perhaps, beside each record
    first = _since(losses.values, SAME * abs(end))
    told = losses.rounding <= SAME * abs(end)  # else equal numbers may be rounded ones
    unmoved = not carried and (len(losses) - first >= least if told else first == 0)
    if not unmoved:
        first = _since(losses.values, band)
        if first == 0 or len(losses) - first < least or band > 0.02 * abs(end):
            return
    since = int(losses.steps[first])
    beside = training.values[training.steps >= since]
    if len(beside) < LEAST_BESIDE:
        yield too_few(len(beside), "values of the loss since the evaluation stands still", LEAST_BESIDE)
        return
    share = (int(losses.steps[-1]) - since) / max(run.last_step - run.first_step, 1)
    fall, level, errors = _fall(beside)
    if fall < (FALL_BESIDE_ONE_NUMBER if unmoved and told else LEAST_FALL) * level or errors < FALL_ERRORS:
        return
    found = {
        "evaluation": end,
        "training_fall": fall,
        "training_end": level - fall,
        "share": share,
        "standard_errors": errors,
    }
    beside_it = f"while the training loss fell by {fall / level:.0%} to {figure(level - fall)}"
    if unmoved:
        which = (
            f"in all {len(losses):,} evaluations"
            if first == 0
            else f"in all {len(losses) - first:,} evaluations from {run.place(since)} on"
        )
        message = f"{metric} is {figure(end, 5)} {which}, {beside_it}: what is evaluated is not what is trained, or is not evaluated anew."
        lines: tuple[str, ...] = (
            "Compare a weight of the evaluated model at two evaluations: a copy, an average of weights that never takes them over, or a "
            "checkpoint loaded anew each time does not move.",
            "Check that the evaluation computes its loss anew, and does not return the first result again.",
        )
    else:
        message = f"{metric} has stood at {figure(end)} since {run.place(since)}, {share:.0%} of the run, {beside_it}."
        lines = (
            f"Stop near {run.place(since)} next time: later checkpoints are no better on other text.",
            "More or more varied data; dropout or weight decay.",
            "Fewer epochs: what the model has learned since then does not carry over to other text.",
        )
    severity = Severity.WARNING if unmoved or share >= warning else Severity.INFO
    yield Finding(message, since, int(losses.steps[-1]), metric, found, lines, severity)


def _since(values: np.ndarray, band: float) -> int:
    """Return the index from which on all values lie within a band around the median of their last fifth."""
    outside = np.flatnonzero(np.abs(values - _end(values)) > band)
    return int(outside[-1]) + 1 if len(outside) else 0


def _end(values: np.ndarray) -> float:
    return float(median(values[-max(3, len(values) // 5) :]))


def _fall(values: np.ndarray) -> tuple[float, float, float]:
    """Return how far the training loss fell from the first to the last fifth, the level it fell from, and the
    standard errors."""
    width = len(values) // 5
    before, after = float(median(values[:width])), float(median(values[-width:]))
    error = median_difference_error(scatter(values), smoothing(values), width, width)
    return before - after, before, (before - after) / max(error, 1e-12)
