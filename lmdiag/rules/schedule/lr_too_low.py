import numpy as np

from lmdiag.advice import raise_lr
from lmdiag.beginning import holds_start
from lmdiag.figures import figure
from lmdiag.finding import (
    BEGINS_LATER,
    NO_RATE,
    NOT_FROM_SCRATCH,
    NOT_TEXT,
    Curve,
    Finding,
    Findings,
    NotChecked,
    Severity,
    rule,
    too_few,
)
from lmdiag.run import Run, Series
from lmdiag.stats.limits import FROM_SCRATCH, HIGH_RATE, LEARNS, NEAR_UNIFORM
from lmdiag.stats.phases import phases
from lmdiag.stats.trend import mann_kendall
from lmdiag.stats.windows import block_medians, median

LARGEST_START = 16.0  # nats at the start
RECORDS, STEPS = 20, 200
DONE = 0.2  # of the planned steps; the beginning of a long run looks the same
TINY_RATE, TINY_UPDATE = 2e-5, 1e-5
NOTHING_LEARNED = 0.95  # of the start


@rule(family="schedule", needs=("curve", "lr"), severity=Severity.INFO, min_points=RECORDS)
def check(run: Run, curve: Curve, rates: Series, *, left: float = 0.7, straight: float = 0.4) -> Findings:
    """The learning rate is too low: the loss falls steadily, but very slowly.

    ## What it looks for
    A run from scratch whose loss is still near its start, and comes down in a straight line.

    ## How it decides
    Started at 6 nats or more, the loss clearly falls (rank trend) and still is above `left` of its start. A healthy run makes most of its gain at once and then
    bends; here at least `straight` of the fall after warm-up happens in the second half, with the rate not below half of its peak there. At least 20 records and 200
    steps are needed, and a fifth of the plan. It is a warning if the rate itself confirms it: a peak below 2e-5, or updates of less than
    1e-5 of the weights, and an error if the loss then ends at 8 nats or more and 95% of its start, as guessing does; information otherwise.

    ## Why it matters
    A tenfold rate would reach the same loss in a tenth of the steps.

    ## False alarms it avoids
    Warm-up, the first steps of long runs, fine-tuning, plateaus (which do not fall) and runs with a bend.

    ## What to try
    Three to ten times the rate; a short range test tells where it becomes unstable.

    ## References
    - Smith 2017, Cyclical learning rates, arXiv:1506.01186, section 3.3: range test.
    """
    metric, losses = curve
    if run.objective not in ("causal-lm", "masked-lm"):
        yield NOT_TEXT
        return
    schedule = phases(rates.steps, rates.values)
    planned = float(run.config.get("max_steps") or 0)
    if planned and run.step_kind == "step" and run.last_step < DONE * planned:
        yield NotChecked(f"only {run.last_step / planned:.1%} of the planned steps are done")
        return
    if schedule is None:
        yield NO_RATE
        return
    if len(losses) < RECORDS:
        yield too_few(len(losses), "finite values of the loss", RECORDS)
        return
    start, end = float(median(losses.values[:3])), float(median(losses.values[-(len(losses) // 10) :]))
    if not holds_start(run, losses):
        yield BEGINS_LATER
        return
    if end < left * start:
        return
    if not FROM_SCRATCH <= start <= LARGEST_START:
        yield NOT_FROM_SCRATCH
        return
    warm = losses.between(schedule.warm_step, run.last_step)
    if len(warm) < RECORDS:
        yield too_few(len(warm), "records after the warm-up", RECORDS)
        return
    span, needed = int(warm.steps[-1] - warm.steps[0]), max(STEPS, round(0.5 * run.last_step))
    if span < needed:
        yield too_few(span, f"{run.unit}s after the warm-up", needed)
        return
    levels, _ = block_medians(warm.values, 10)
    fall, late = float(levels[0] - levels[-1]), float(levels[len(levels) // 2] - levels[-1])
    if levels[-1] < left * start or mann_kendall(warm.values) > LEARNS or late < straight * fall:
        return
    late_rates = rates.between(int(warm.steps[len(warm) // 2]), run.last_step).values
    if not len(late_rates):
        yield NotChecked("the learning rate is not logged in the second half of the run")
        return
    if median(late_rates) < HIGH_RATE * schedule.peak:
        return
    update = _update_ratio(run)
    sure = schedule.peak < TINY_RATE or (update is not None and update < TINY_UPDATE)
    yield Finding(
        f"The loss falls very slowly and along a straight line: a median of {figure(start)} over its first three records, "
        f"of {figure(levels[-1])} over the last tenth of those at a full rate, {late / fall:.0%} of the fall in the second half; the learning rate of {figure(schedule.peak, 2)} is "
        "too low.",
        int(losses.steps[0]),
        int(losses.steps[-1]),
        metric,
        {
            "start": start,
            "end": float(levels[-1]),
            "late_share": late / fall,
            "peak_lr": schedule.peak,
            **({} if update is None else {"update_ratio": update}),
        },
        (
            raise_lr(run, schedule.peak),
            "Run a range test: raise the rate exponentially over some hundred steps, and take a third of the rate at "
            "which the loss turns upwards.",
        ),
        _grade(sure, start, float(levels[-1])),
    )


def _grade(sure: bool, start: float, end: float) -> Severity:
    """Return how bad it is: a model that is where guessing among thousands of tokens is has learned nothing that counts."""
    if not sure:
        return Severity.INFO
    return Severity.ERROR if end >= max(NEAR_UNIFORM, NOTHING_LEARNED * start) else Severity.WARNING


def _update_ratio(run: Run) -> float | None:
    ratios = run["update_ratio"].finite.values if "update_ratio" in run else np.empty(0)
    return float(median(ratios)) if len(ratios) >= 5 else None
