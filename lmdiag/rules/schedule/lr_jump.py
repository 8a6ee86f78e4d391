import numpy as np

from lmdiag.figures import figure
from lmdiag.finding import NO_RATE, Finding, Findings, NotChecked, Severity, rule, too_few
from lmdiag.run import Run, Series
from lmdiag.stats.limits import HIGH_RATE, LOW_RATE
from lmdiag.stats.noise import median_difference_error, scatter, smoothing
from lmdiag.stats.windows import median, rolling_median

DECAYED = 0.7  # of the highest rate so far
MOST = 0.1  # share of the records from which jumps are how this log is written
RECORDS = 10
SETTLED_RECORDS = 5
BACK = 2.0  # standard errors: nearer is as good as back
TOP = 0.95  # of the highest rate behind a restart: a first cycle that is never so high began before the log
SAME_CYCLE = 0.1  # by which cycles of planned restarts may differ from 1 or 2 times the one before
COSTLY = 0.05  # of the run
REBOUND_NATS, REBOUND_SHARE, ERRORS = 0.05, 0.02, 4.0


@rule(family="schedule", needs=("lr",), severity=Severity.INFO, min_points=10)
def check(run: Run, rates: Series, *, ratio: float = 1.5, share: float = 0.2) -> Findings:
    """The learning rate jumps up, or starts its warm-up again.

    ## What it looks for
    A rate that, having decayed, is suddenly higher again; or one that drops and climbs a second time.

    ## How it decides
    Between two records the rate grows by `ratio` and by `share` of its peak, after it had been above half of the peak (or was resumed there) and fallen below 70% of its highest value, or had not risen for a tenth of the records.
    Or it halves at once and doubles again later. A warning where the loss rose by 0.05 nat, 2% and four standard errors and either the run was resumed
    at that step or it took a twentieth of the run or more until the loss was back, to two standard errors; else information, because restarts can be intended. Those of a cyclic
    schedule are: they start below a fifth of the peak, each cycle as long as the one before or twice as long, to a tenth; the first counts from where
    its rate is highest, and may have begun before the log.

    ## Why it matters
    A scheduler that was not restored after a resume trains the rest of the run at the wrong rate.

    ## False alarms it avoids
    Warm-up, step decay, cyclic schedules (one finding for all restarts), logs that interleave parameter groups.

    ## What to try
    Save and load the state of the scheduler with the checkpoint.

    ## References
    - Loshchilov and Hutter 2017, SGDR: stochastic gradient descent with warm restarts, arXiv:1608.03983.
    """
    if len(rates) < 10:
        yield too_few(len(rates), "finite learning rates", 10)
        return
    if rates.values.max() <= 0:
        yield NO_RATE
        return
    restarts = np.searchsorted(rates.steps, [s.first_step for s in run.segments[1:]]) - 1
    jumps, drops = _jumps_up(rates.values, restarts, ratio, share), _fresh_warm_ups(rates.values)
    rows = np.sort(np.concatenate([jumps, drops]))
    if len(rows) > max(MOST * len(rates), 1):
        yield NotChecked(
            "the learning rate jumps in more than a tenth of the records: it may be that of several groups"
        )
        return
    if not len(rows):
        return
    at = int(rows[0])
    before, after = float(rates.values[at]), float(rates.values[at + 1])
    step = int(rates.steps[at + 1])
    resumed = any(rates.steps[at] <= s.first_step <= step for s in run.segments[1:])
    rise = _loss_rise(run, int(rates.steps[at]))
    back = _back_at(run, int(rates.steps[at])) if rise else None
    cost = (run.last_step if back is None else back) - step
    grave = rise and after > before and not _cyclic(run, rates, rows)
    grave = grave and (resumed or cost >= COSTLY * (run.last_step - run.first_step))
    jump = f"jumps from {figure(before, 3)} to {figure(after, 3)}"
    how = jump if after > before else f"drops to {figure(after, 3)} and warms up again"
    there = f" at a rate of {figure(before, 3)}" if before else ""
    others = f", the first of {len(rows)} restarts" if len(rows) > 1 else ""
    yield Finding(
        f"The learning rate {how} at {run.place(step)}{', where the run was resumed' if resumed else ''}{others}"
        + (f"; the loss rose by {figure(rise, 2)} nats{_cost(run, back, cost)}." if rise else "."),
        step,
        int(rates.steps[rows[-1] + 1]),
        "lr",
        {
            "before": before,
            "after": after,
            "jumps": len(rows),
            "loss_rise": rise,
            **({"cost_steps": cost} if rise else {}),
        },
        (
            "Restore the state of the scheduler: load it with that of model and optimizer, unless the jump was intended.",
            *([f"Resume from before {run.place(step)}{there}."] if back is None else ()),
        ),
        Severity.WARNING if grave else Severity.INFO,
        steps=tuple(rates.steps[rows + 1][:50].tolist()),
    )


def _jumps_up(lr: np.ndarray, restarts: np.ndarray, ratio: float, share: float) -> np.ndarray:
    """Return the records after which the rate is suddenly higher, warm-up apart; `restarts` are rows before a
    restart."""
    peak = lr.max()
    rows = np.flatnonzero(lr[1:] > ratio * lr[:-1])
    rows = rows[lr[rows + 1] - lr[rows] > share * peak]
    if not len(rows):
        return rows
    highest = np.maximum.accumulate(lr)[rows]
    past_warm_up = (highest >= HIGH_RATE * peak) | np.isin(rows, restarts)  # after a resume even far above the old peak
    decayed = (lr[rows] < DECAYED * highest) & past_warm_up
    return rows[decayed | _settled(lr, rows)]


def _settled(lr: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Tell after which records the warm-up was over: for a tenth of the records, and five, the rate had not risen."""
    width = max(SETTLED_RECORDS, len(lr) // 10)
    rising = np.concatenate([[0], np.cumsum(lr[1:] > lr[:-1])])
    return (rows >= width) & (rising[rows] == rising[np.maximum(rows - width, 0)])


def _fresh_warm_ups(lr: np.ndarray) -> np.ndarray:
    """Return the records after which the rate halves at once, only to double again step by step."""
    peak = lr.max()
    rows = np.flatnonzero(lr[1:] < 0.5 * lr[:-1])
    rows = rows[(lr[rows] > 0.1 * peak) & (rows < len(lr) - 2)]
    if not len(rows):
        return rows
    later = np.maximum.accumulate(lr[::-1])[::-1][rows + 1]
    again = (later >= 2 * lr[rows + 1]) & (later >= 0.4 * lr[rows])
    ramp = lr[rows + 2] < 0.5 * lr[rows]  # and not one odd record
    return rows[again & ramp]


def _cyclic(run: Run, rates: Series, rows: np.ndarray) -> bool:
    """Tell whether the rate restarts as a schedule of cycles does: from near 0, and each cycle as long as the one before or
    twice as long.

    The first begins where its rate is highest, behind the warm-up, and may be cut short by the begin of the log, the last of several by its end.
    """
    values, steps = rates.values, rates.steps
    if (values[rows] > LOW_RATE * values.max()).any():
        return False
    top = int(np.argmax(values[: rows[0] + 1]))
    cut = values[top] < TOP * values[rows + 1].max()
    cycles = np.diff([int(steps[top]), *steps[rows + 1].tolist(), run.last_step])
    if len(cycles) > 2:
        cycles = cycles[:-1]
    for times in (1, 2):
        off = cycles[1:] / np.maximum(times * cycles[:-1], 1) - 1
        off[0] = min(off[0], 0.0) if cut else off[0]
        if (np.abs(off) <= SAME_CYCLE).all():
            return True
    return False


def _back_at(run: Run, before: int) -> int | None:
    """Return the step at which the loss is back where it was before the jump, None where it never is."""
    assert run.curve is not None
    curve = run.curve[1].finite
    row = int(np.searchsorted(curve.steps, before, side="right"))
    level = float(median(curve.values[max(0, row - RECORDS) : row]))
    levels = rolling_median(curve.values[row:], RECORDS | 1)
    sigma = scatter(curve.values[max(0, row - 10 * RECORDS) : row])
    error = median_difference_error(sigma, smoothing(curve.values), RECORDS, RECORDS)
    back = np.flatnonzero(levels <= level + BACK * error)
    return int(curve.steps[row + back[0]]) if len(back) else None


def _cost(run: Run, back: int | None, cost: int) -> str:
    return (
        f" and was not back in the {cost:,} {run.unit}s since"
        if back is None
        else f" and was back {cost:,} {run.unit}s later"
    )


def _loss_rise(run: Run, step: int) -> float:
    """Return by how much the loss is higher after a step than before, 0 where that is within the noise."""
    curve: Series | None = run.curve[1].finite if run.curve else None
    if curve is None:
        return 0.0
    row = int(np.searchsorted(curve.steps, step, side="right"))
    before, after = curve.values[max(0, row - RECORDS) : row], curve.values[row : row + RECORDS]
    if len(before) < RECORDS or len(after) < RECORDS:
        return 0.0
    rise, level = float(median(after) - median(before)), abs(float(median(before)))
    sigma = scatter(curve.values[max(0, row - 10 * RECORDS) : row])
    error = median_difference_error(sigma, smoothing(curve.values), RECORDS, RECORDS)
    return rise if rise >= max(REBOUND_NATS, REBOUND_SHARE * level, ERRORS * error) else 0.0
