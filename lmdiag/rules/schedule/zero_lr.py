import numpy as np

from lmdiag.figures import figure
from lmdiag.finding import Curve, Finding, Findings, NotChecked, Severity, rule, too_few
from lmdiag.run import Run, Series
from lmdiag.stats.course import course
from lmdiag.stats.limits import LEARNS
from lmdiag.stats.trend import mann_kendall, total_gain
from lmdiag.stats.windows import distinct, median

TAIL_RECORDS = 20
# Records beside as many gradient norms of 0; rates; losses that tell whether anything is learned
FEW, MANY, JUDGED = 4, 5, 10
FELL = 0.02  # of the first loss: what fell so far was trained
CONSTANT = 1e-6  # of the peak
SURE, TRIVIAL = 3.0, 0.005  # standard errors; share of the level
MOVED, FEWEST_REWARDS = 6.0, 10  # standard errors: the highest of many levels of a reward is high by luck
COARSE = 2.5  # units of the rounding: where a decay is still going on at so few, its end is printed as zero


@rule(family="schedule", needs=("lr", "curve"), severity=Severity.WARNING, min_points=FEW)
def check(
    run: Run, rates: Series, curve: Curve, *, dead: float = 1e-3, smallest: float = 0.05, warning: float = 0.10
) -> Findings:
    """The learning rate is zero, in the whole run or from some step on.

    ## What it looks for
    A rate of exactly zero in all records, or a schedule that reaches its end long before the run does.

    ## How it decides
    All zeros: an error if the loss does not fall either, over ten records or more; information otherwise (the number was printed with too few decimals,
    or belongs to another parameter group). In four to nine records it is a warning where the gradient norm is exactly 0 in all of them, too, and the loss has not fallen by 2%: two
    measures that were printed too coarsely, or not computed, would leave a loss that falls. Information, too, where the reward of a policy, whose loss need not fall, comes to stand six standard errors above or below its start. A dead tail, at `dead` of the peak or below: information from `smallest` of the steps on; a warning from `warning`
    on if the rate no longer changes there, in twenty records, and the loss gains less than 0.5% and three standard errors. Rates that fell to two units of their
    last decimal just before are printed too coarsely to tell: nothing is said.

    ## Why it matters
    Every step of a dead tail is computed in vain. Usually the schedule counted micro-batches, or fewer epochs than were run.

    ## False alarms it avoids
    The zero of the first warm-up step; one record a thousand times its neighbours, which is no peak; the last 2% of a cosine; slow decays that go on; rates printed as 0.0000.

    ## What to try
    Give the scheduler the number of optimizer updates: batches / accumulation steps * epochs / processes.

    ## References
    - Hugging Face Accelerate, Performing gradient accumulation: step the scheduler once per update.
    """
    still = _stands_still(run, rates, curve.series.values)
    if len(rates) < MANY and not still:
        yield too_few(len(rates), "finite learning rates", MANY)
        return
    peak = _peak(rates.values, dead)
    if rates.values.min() < 0:
        yield NotChecked("learning rates below 0 are logged: they are something else")
        return
    if peak <= 0:
        yield _all_zero(run, curve.series.values, rates, still)
        return
    alive = np.flatnonzero(rates.values > dead * peak)
    tail = rates.at(slice(int(alive[-1]) + 1, None))
    span = max(int(rates.steps[-1] - rates.steps[0]), 1)
    if not len(tail):
        return
    if _coarse(rates, int(alive[-1])):
        yield NotChecked("the learning rates are printed with too few decimals to tell a small one from 0")
        return
    share = float(tail.steps[-1] - tail.steps[0]) / span
    if share >= smallest:
        yield _dead_tail(run, curve.series, tail, peak, share, warning)


def _peak(rates: np.ndarray, dead: float) -> float:
    """Return the highest rate, without single records beside which both neighbours, which are above 0, would be dead."""
    beside = np.maximum(rates[:-2], rates[2:])
    lone = np.r_[False, (beside > 0) & (beside <= dead * rates[1:-1]), False]
    return float(rates[~lone].max())


def _stands_still(run: Run, rates: Series, losses: np.ndarray) -> bool:
    """Tell whether rate and gradient are both exactly 0 in a few records, and the loss does not fall."""
    norms = run["grad_norm"].values if "grad_norm" in run else np.empty(0)
    if min(len(rates), len(norms), len(losses)) < FEW or rates.values.any() or norms.any():
        return False
    return float(losses[0] - losses[-1]) < FELL * abs(float(losses[0]))


def _all_zero(run: Run, losses: np.ndarray, rates: Series, still: bool) -> Finding:
    learns = "the loss falls" if mann_kendall(losses) < LEARNS else "the reward moves" if _reward_moves(run) else ""
    severity = Severity.ERROR if len(losses) >= JUDGED else Severity.WARNING if still else Severity.INFO
    severity = Severity.INFO if learns else severity
    yet = f", although {learns}: it is another group's, or has too few decimals" if learns else ": nothing is learned"
    both = ", and so is the gradient norm" if still else ""
    return Finding(
        f"The learning rate is zero in all {len(rates):,} records{both}{yet}.",
        int(rates.steps[0]),
        int(rates.steps[-1]),
        "lr",
        {"records": len(rates)},
        (
            "Log the rate in full precision, from optimizer.param_groups[0]['lr'].",
            "Check that the warm-up is shorter than the run, and that the scheduler is stepped.",
            *(
                ("Look on: a loss scaler skips the first steps, twenty at most, and then both are above 0.",)
                if still
                else ()
            ),
        ),
        severity,
    )


def _reward_moves(run: Run) -> bool:
    """Tell whether the reward of a policy left its first level, whatever became of it later: its weights do change."""
    rewards = run["reward"].finite.values if "reward" in run else np.empty(0)
    if run.kind != "reinforcement" or len(rewards) < FEWEST_REWARDS:
        return False
    seen = course(rewards)
    return max(seen.high - seen.start, seen.start - seen.low) > MOVED * seen.error


def _coarse(rates: Series, last_alive: int) -> bool:
    """Tell whether the last rates above zero are so few units of their rounding that those behind read as zero."""
    return bool(rates.values[last_alive] < COARSE * 2 * rates.rounding) and len(distinct(rates.values)) > 2


def _dead_tail(run: Run, losses: Series, tail: Series, peak: float, share: float, warning: float) -> Finding:
    first, last = int(tail.steps[0]), int(tail.steps[-1])
    still = float(np.ptp(tail.values[len(tail) // 10 :])) <= CONSTANT * peak
    vain = still and len(tail) >= TAIL_RECORDS and _gains_nothing(losses.between(first, last).values)
    end, span = float(tail.values[-1]), f"from {run.place(first)} on ({share:.0%} of the run)"
    zero, of_peak = not tail.values.any(), f", {figure(end / peak, 2)} of its peak" if end else ""
    return Finding(
        f"The learning rate is 0 {span}."
        if zero
        else f"The learning rate is almost 0 {span}: it ends at {figure(end, 2)}{of_peak}.",
        first,
        last,
        "lr",
        {"share": share, "peak": peak, "rate": end},
        (
            f"Stop at {run.place(first)}: the rest {'does not train' if zero else 'hardly trains'}.",
            "Give the scheduler the number of optimizer updates in all epochs, not that of micro-batches.",
        ),
        Severity.WARNING if share >= warning and vain else Severity.INFO,
    )


def _gains_nothing(losses: np.ndarray) -> bool:
    if len(losses) < TAIL_RECORDS:
        return False
    gain, error = total_gain(losses)
    return gain < max(SURE * error, TRIVIAL * abs(float(median(losses))))
