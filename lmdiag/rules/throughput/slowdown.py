import numpy as np
from msgspec import Struct

from lmdiag.figures import figure
from lmdiag.finding import NO_STEP_TIME, Curve, Finding, Findings, NotChecked, Severity, rule
from lmdiag.pace import Pace, is_clock, pace, step_times
from lmdiag.run import Run
from lmdiag.stats.windows import block_medians, median, quantile

RECORDS = 30
BLOCKS = 100
USUAL = (0.1, 0.4)  # the stretch that says what is usual: after compilation and caches, before most troubles
LATE = 0.8
LONG = 0.25  # of the time of the run
STRETCHES = 20  # parts of the run, to find what was slow and is over; the first two hold compilation
IN_EACH = 5  # records at least
FASTEST = 0.25  # of them say what is usual: the slow ones are fewer than three in four


class Slow(Struct, frozen=True):
    """A stretch that was slower than the rest: its first and last row, and seconds of a step or token there and elsewhere."""

    first: int
    last: int
    before: float
    after: float


@rule(family="throughput", needs=("curve",), severity=Severity.INFO)
def check(run: Run, _: Curve, *, smallest: float = 1.25, warning: float = 1.33, lost_s: float = 60.0) -> Findings:
    """Training gets slower, for good or for a long stretch.

    ## What it looks for
    A token, or a step, that takes longer at the end of the run than it did before, or did so for a quarter of the time in between.

    ## How it decides
    The median of the last fifth over the median of the stretch from 10% to 40% of the run is `smallest` or more, and the fastest quarter of the
    late records is slower than 90% of the earlier ones, so that scatter cannot pass for a change. Else the longest row of twentieths of the run (of five records or more) that are all slower
    by `warning` than its fastest quarter of them, and by the same test; the first two hold compilation. 30 records are needed. It is a warning where a quarter
    of the time or more was lost there (a ratio of `warning`), in a stretch that takes at least a quarter of the run's time, and the loss is not known
    to be below `lost_s` seconds: a slower toy run costs nobody anything. Tokens per second are preferred; else step times, else the clock.

    ## Why it matters
    A run that is twice as slow for its second half costs half as much again.

    ## False alarms it avoids
    Compilation and caches in the first tenth, runs that were slow from their first record on and became faster, pauses for evaluations and checkpoints (medians), longer sequences where tokens per second are logged.

    ## What to try
    Look at the temperature and clock of the device, at neighbours on the machine, at the data loader's share of the step. Memory that grows beside it
    points at a leak.

    ## References
    - Jiang et al. 2024, MegaScale, arXiv:2402.15627, section 5: stragglers and slow machines.
    """
    times = pace(run)
    if times is None or len(times.seconds) < RECORDS:
        held = 0 if times is None else len(times.seconds)
        readings = "speeds, step times or clock readings"
        yield NotChecked(f"only {held} {readings}, {RECORDS} needed" if held else f"no {readings}")
        return
    if times.metric == "step_time_s" and is_clock(times.seconds):
        yield NO_STEP_TIME
        return
    if times.seconds.max() < min(smallest, warning) * times.seconds.min():
        return
    slow = _at_the_end(times, smallest) or _in_between(times, warning)
    if slow is None:
        return
    first, last = int(times.steps[slow.first]), int(times.steps[slow.last])
    ratio, over = slow.after / slow.before, slow.last < len(times.steps) - 1
    lost, share = _lost_seconds(run, times, slow), _time_share(times, slow)
    if over and share < LONG:
        return
    costly = ratio >= warning and share >= LONG and (lost is None or lost >= lost_s)
    where, than, since = (
        (f"From {run.place(first)} to {run.place(last)}", "in the rest of the run", "in between")
        if over
        else (f"From {run.place(first)} on", "before", "since then")
    )
    yield Finding(
        f"{where} a {times.unit} {'took' if over else 'takes'} {figure(ratio, 2)} times as long as {than}: "
        f"{_times(slow, over)}; {1 - slow.before / slow.after:.0%} of the time {since} {'was' if over else 'is'} lost"
        + (f", {lost / 60:,.0f} minutes." if lost is not None and lost >= 90 else "."),
        first,
        last,
        times.metric,
        {"ratio": ratio, "before_s": slow.before, "after_s": slow.after, **({} if lost is None else {"lost_s": lost})},
        _advice(run, first, over),
        Severity.WARNING if costly else Severity.INFO,
    )


def _at_the_end(times: Pace, smallest: float) -> Slow | None:
    """Return the stretch up to the end of the run that is slower than it was before."""
    n = len(times.seconds)
    usual, late = times.seconds[int(USUAL[0] * n) : int(USUAL[1] * n)], times.seconds[int(LATE * n) :]
    before, after = float(median(usual)), float(median(late))
    if after < smallest * before or quantile(late, 0.25) <= quantile(usual, 0.9):
        return None
    levels, starts = block_medians(times.seconds, BLOCKS)
    fast = np.flatnonzero(levels < before * np.sqrt(after / before))
    return Slow(int(starts[min(fast[-1] + 1, len(starts) - 1)]) if len(fast) else 0, n - 1, before, after)


def _in_between(times: Pace, least: float) -> Slow | None:
    """Return the longest stretch that was slow and is over, but for one that began with the run: that became faster."""
    levels, starts = block_medians(times.seconds, min(STRETCHES, len(times.seconds) // IN_EACH))
    slow = levels >= least * quantile(levels[2:], FASTEST)
    slow &= ~np.logical_and.accumulate(slow)
    edges = np.flatnonzero(np.diff(np.r_[False, slow[2:], False])) + 2
    if not len(edges):
        return None
    first, stop = max(zip(edges[::2], edges[1::2]), key=lambda at: at[1] - at[0])
    if stop == len(starts):
        return None
    inside = np.zeros(len(times.seconds), bool)
    inside[starts[first] : starts[stop]] = True
    during, rest = times.seconds[inside], times.seconds[~inside][starts[2] :]
    if quantile(during, 0.25) <= quantile(rest, 0.9):
        return None
    return Slow(int(starts[first]), int(starts[stop]) - 1, float(median(rest)), float(median(during)))


def _time_share(times: Pace, slow: Slow) -> float:
    """Return which share of the run's time the stretch takes, where every step does equally much."""
    spent = times.seconds * np.diff(times.steps, prepend=times.steps[0])
    return float(spent[slow.first : slow.last + 1].sum() / spent.sum())


def _lost_seconds(run: Run, times: Pace, slow: Slow) -> float | None:
    """Return the seconds lost in the stretch; None where the log does not say how long the steps took."""
    share = 1 - slow.before / slow.after
    first, last = times.steps[slow.first], times.steps[slow.last]
    steps = times if times.unit == "step" else step_times(run)
    if steps is not None and run.step_kind == "step" and not is_clock(steps.seconds):
        spent = steps.seconds * np.diff(steps.steps, prepend=steps.steps[0])
        return share * float(spent[(steps.steps >= first) & (steps.steps <= last)].sum())
    if run.tokens is None or times.metric != "tokens_per_sec":
        return None
    tokens = np.interp(times.steps, run.tokens.steps, run.tokens.values)
    spent = times.seconds * np.diff(tokens, prepend=tokens[0])
    return share * float(spent[slow.first : slow.last + 1].sum())


def _times(slow: Slow, over: bool) -> str:
    """Write both times in the unit that suits the first."""
    unit, scale = ("s", 1) if slow.before >= 0.1 else ("ms", 1e3) if slow.before >= 1e-4 else ("µs", 1e6)
    usual, there = (f"{figure(seconds * scale, 3)} {unit}" for seconds in (slow.before, slow.after))
    return f"{there} against {usual}" if over else f"{usual} then, {there} now"


def _advice(run: Run, onset: int, over: bool) -> tuple[str, ...]:
    loader = (
        "Compare data_time_s before and after: it says whether the loader is the cause."
        if "data_time_s" in run
        else "Log the time spent waiting for data (data_time_s): it tells the loader from the device."
    )
    began = f"Look at what else began on the machine at about {run.place(onset)}: neighbours, throttling, a full disk."
    if over:
        return (began, loader)
    return (
        began,
        loader,
        "If memory grows as well, look for a leak; otherwise restart on another machine from the last checkpoint.",
    )
