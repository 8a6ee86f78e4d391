from math import comb

import numpy as np

from lmdiag.figures import figure
from lmdiag.finding import NO_STEP_TIME, Curve, Finding, Findings, NotChecked, Severity, rule
from lmdiag.pace import CLOCKS, Pace, is_clock, pace, step_times
from lmdiag.run import Run
from lmdiag.stats.windows import median

RECORDS = 30
STALLS = 5
SETTLED = 0.05  # the first records hold compilation
MOST = 0.2  # stalls are the exception
# Share of the distances, and how far from a multiple: a record, or so much of the period
ON_GRID, GRID_ERROR, LEAST_ERROR = 0.7, 0.1, 0.02
CHANCE = 0.001  # that pauses at random places would lie so near to a grid
AT_EVALUATION = 0.7
APART = 3  # records between stalls; a slow stretch is no pause


@rule(family="throughput", needs=("curve",), severity=Severity.INFO)
def check(
    run: Run, _: Curve, *, slow: float = 3.0, smallest: float = 0.05, warning: float = 0.15, lost_s: float = 600.0
) -> Findings:
    """Steps stall at regular intervals.

    ## What it looks for
    Single steps of several times the usual duration that come back every so many steps: checkpoints, evaluations, a refilled buffer.

    ## How it decides
    Records of `slow` times the median step time, at least five and at most a fifth of all. 70% of the distances between them are multiples of one
    period (within a record, or 2% of it, at most 10%), which chance does once in a thousand, and what they take beyond a usual step is `smallest` of the whole time or more. From `warning` on it is a warning, if the loss is not
    known to be below `lost_s` seconds, and except where the pauses are evaluations: how much to evaluate is a choice. A logged time or speed may be the mean since the last record or that of a single step: then only what
    the single steps lose is known, which has to be `warning` of the time of all steps, and of speeds nothing. A clock tells of all steps. Where the log has no step times and
    no clock, speeds say the same.

    ## Why it matters
    A checkpoint that takes a minute every hundred steps can cost a fifth of the run.

    ## False alarms it avoids
    Compilation at the start, irregular pauses, short runs.

    ## What to try
    Save checkpoints less often or asynchronously; let the loader prefetch; evaluate on fewer tokens.

    ## References
    - Jiang et al. 2024, MegaScale, arXiv:2402.15627, section 4: two-stage checkpoints.
    """
    times = step_times(run) or pace(run)
    if times is None or len(times.seconds) < RECORDS:
        held = 0 if times is None else len(times.seconds)
        readings = "speeds, step times or clock readings"
        yield NotChecked(f"only {held} {readings}, {RECORDS} needed" if held else f"no {readings}")
        return
    if times.metric == "step_time_s" and is_clock(times.seconds):
        yield NO_STEP_TIME
        return
    first = int(SETTLED * len(times.seconds))
    times = Pace(times.steps[first:], times.seconds[first:], times.unit, times.metric)
    if times.seconds.max() <= slow * times.seconds.min():
        return
    usual = float(median(times.seconds))
    stalls = np.flatnonzero(times.seconds > slow * usual)
    period = _period(times.steps, stalls) if STALLS <= len(stalls) <= MOST * len(times.seconds) else None
    if period is None:
        return
    extra = float(median(times.seconds[stalls])) - usual  # the median: one of them may be a night in a queue
    each = float(median(np.diff(times.steps)))
    clocked = times.metric in CLOCKS
    whole = each <= 1 or clocked  # else a record may tell of all steps since the last one, or of a single one
    share = extra * len(stalls) / (extra * len(stalls) + usual * len(times.seconds))
    known = share if whole else extra * len(stalls) / (extra * len(stalls) + usual * len(times.seconds) * each)
    lost = extra * len(stalls) * (each if clocked else 1) if times.unit == "step" and run.step_kind == "step" else None
    if share < smallest:
        return
    evaluating = _at_evaluations(run, times, stalls)
    much = known >= warning and (whole if lost is None else lost >= lost_s)
    cause = ", when the run evaluates" if evaluating else ""
    yield Finding(
        f"Every {period:,} {run.unit}s {f'one {run.unit} takes' if each <= 1 else 'one record shows'} {figure(extra / usual + 1, 2)} times "
        f"{'as long as usual' if each <= 1 else 'the usual time'}{cause}: "
        f"{f'that costs {share:.0%} of the time' if whole else f'{share:.0%} of the time that the records tell of is lost so'}.",
        int(times.steps[stalls[0]]),
        int(times.steps[stalls[-1]]),
        times.metric,
        {"period_steps": period, "share": share, "usual_s": usual, "stall_s": extra + usual},
        _advice(run, evaluating, period),
        Severity.WARNING if much and not evaluating else Severity.INFO,
        steps=tuple(times.steps[stalls][:50].tolist()),
    )


def _period(steps: np.ndarray, stalls: np.ndarray) -> int | None:
    """Return the distance of which most distances of the stalls are multiples, None where there is none."""
    apart = np.diff(steps[stalls])
    period = float(median(apart))
    if period < APART * float(median(np.diff(steps))):
        return None
    times = apart / period
    error = min(max(float(median(np.diff(steps))) / period, LEAST_ERROR), GRID_ERROR)
    on_grid = (np.abs(times - np.round(times)) <= error) & (times > 0.5)
    sure = _by_chance(int(on_grid.sum()) - 1, len(apart) - 1, 2 * error) <= CHANCE  # one distance is the period itself
    return round(period) if on_grid.mean() >= ON_GRID and sure else None


def _by_chance(hits: int, of: int, each: float) -> float:
    """Return the probability of so many hits or more, of `each` one's."""
    return sum(comb(of, k) * each**k * (1 - each) ** (of - k) for k in range(max(hits, 0), of + 1))


def _at_evaluations(run: Run, times: Pace, stalls: np.ndarray) -> bool:
    """Tell whether the slow steps are those of the evaluations, which may be written one record earlier or later."""
    spacing = float(median(np.diff(times.steps)))
    for losses in run.evaluations.values():
        place = np.searchsorted(losses.steps, times.steps[stalls] - 1.5 * spacing)
        near = losses.steps[np.minimum(place, len(losses) - 1)] - times.steps[stalls]
        if float((np.abs(near) <= 1.5 * spacing).mean()) >= AT_EVALUATION:
            return True
    return False


def _advice(run: Run, evaluating: bool, period: int) -> tuple[str, ...]:
    if evaluating:
        return (
            f"Evaluate half as often (every {2 * period:,} {run.unit}s), or on half of the tokens.",
            "Evaluate without gradients, in the precision of training, with a larger batch.",
        )
    return (
        f"Do what happens every {period:,} {run.unit}s half as often; if it is a checkpoint, save it asynchronously.",
        "If it is the loader, raise its workers and prefetch factor.",
    )
