import numpy as np
from msgspec import Struct

from lmdiag.figures import figure
from lmdiag.finding import NO_STEP_TIME, Curve, Finding, Findings, NotChecked, Severity, rule
from lmdiag.pace import Pace, is_clock, pace, step_times
from lmdiag.run import Run
from lmdiag.stats.windows import block_medians, median, quantile

RECORDS = 30
STRETCHES = 40  # parts of the run of which each is slow or not; the first tenth holds compilation
IN_EACH = 5  # records at least
SETTLED = 0.1
FASTEST = 0.25  # of them say what is usual: the slow ones are fewer than three in four
LASTS = 2  # parts: a single one is a pause
LATE = 0.1  # of the records: the end of a run is slow from so many on
LONG = 0.25  # of the time of the run
STALLS = 3.0  # times the slow time: what takes longer is a pause


class Slow(Struct, frozen=True, eq=False):
    """The stretches that were slower than the rest: their first rows and the rows behind them, which rows that is, and seconds of a step
    or token there and elsewhere."""

    stretches: list[tuple[int, int]]
    inside: np.ndarray
    before: float
    after: float


@rule(family="throughput", needs=("curve",), severity=Severity.INFO)
def check(run: Run, _: Curve, *, smallest: float = 1.25, warning: float = 1.33, lost_s: float = 60.0) -> Findings:
    """Training gets slower, for good or for a long stretch.

    ## What it looks for
    A token, or a step, that takes longer at the end of the run than it did before, or did so for a quarter of the time in between.

    ## How it decides
    The run is cut into forty parts (of five records or more). Slow is a part that takes `smallest` times as long as the fastest quarter of them behind the first tenth, which
    holds compilation, or as the second tenth, if that was faster; two or more in a row are a stretch, and there may be several. Together they are reported where the fastest quarter of their
    records is slower than 90% of the others, so that scatter cannot pass for a change, and where they last to the end, for a tenth of the records, or take a quarter of the run's time.
    30 records are needed. It is a warning where a quarter
    of the time or more was lost there (a ratio of `warning`), in stretches that take at least a quarter of the run's time, and the loss is not known
    to be below `lost_s` seconds: a slower toy run costs nobody anything. Tokens per second are preferred; else step times, else the clock, and of these two the time of a sample where
    the log tells of a batch that grows.

    ## Why it matters
    A run that is twice as slow for its second half costs half as much again.

    ## False alarms it avoids
    Compilation and caches in the first tenth, runs that were slow from their first record on and became faster, pauses for evaluations and checkpoints (medians), longer sequences where tokens per second are logged, larger batches.

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
    slow = _slow(times, smallest)
    if slow is None:
        return
    rows = np.flatnonzero(slow.inside)
    first, last = int(times.steps[rows[0]]), int(times.steps[rows[-1]])
    ratio, over = slow.after / slow.before, not slow.inside[-1]
    part, share = _lost_share(times, slow), _time_share(times, slow)
    lost = _lost_seconds(run, times, slow, part)
    if share < LONG and (over or len(rows) < LATE * len(times.seconds)):
        return
    costly = ratio >= warning and share >= LONG and (lost is None or lost >= lost_s)
    began = int(times.steps[slow.stretches[-1][0]])
    now = not over and len(slow.stretches) == 1
    where = f"From {run.place(first)} on" if now else f"From {run.place(first)} to {run.place(last)}"
    if len(slow.stretches) > 1:
        where = f"In {len(slow.stretches)} stretches from {run.place(first)} to {run.place(last)}, the last since {run.place(began)},"
    than, since = ("before", "since then") if now else ("in the rest of the run", "there")
    yield Finding(
        f"{where} a {times.unit} {'takes' if now else 'took'} {figure(ratio, 2)} times as long as {than}: "
        f"{_times(slow, now)}; {part:.0%} of the time {since} {'is' if now else 'was'} lost"
        + (f", {lost / 60:,.0f} minutes." if lost is not None and lost >= 90 else "."),
        first,
        last,
        times.metric,
        {
            "ratio": ratio,
            "before_s": slow.before,
            "after_s": slow.after,
            "lost_share": part,
            **({"stretches": len(slow.stretches)} if len(slow.stretches) > 1 else {}),
            **({} if lost is None else {"lost_s": lost}),
        },
        _advice(run, first, not now),
        Severity.WARNING if costly else Severity.INFO,
    )


def _slow(times: Pace, least: float) -> Slow | None:
    """Return the stretches that were slow, but for one that began with the run: that became faster."""
    n = len(times.seconds)
    levels, starts = block_medians(times.seconds, min(STRETCHES, n // IN_EACH))
    settled = max(1, int(SETTLED * len(levels)))
    usual = min(quantile(levels[settled:], FASTEST), float(median(levels[settled : settled + max(settled, LASTS)])))
    slow = levels >= least * usual
    slow &= ~np.logical_and.accumulate(slow)
    slow[:settled] = False
    edges = np.flatnonzero(np.diff(np.r_[False, slow, False]))
    places = np.append(starts, n)
    parts = [(first, stop) for first, stop in zip(edges[::2], edges[1::2]) if stop - first >= LASTS]
    inside, beside = np.zeros(n, bool), np.zeros(n, bool)
    for first, stop in parts:
        inside[places[first] : places[stop]] = True
        beside[places[first - 1] : places[min(stop + 1, len(levels))]] = True  # where the change may lie
    beside[: starts[settled]] = True
    during, rest = times.seconds[inside], times.seconds[~beside]
    if not len(during) or not len(rest) or quantile(during, 0.25) <= quantile(rest, 0.9):
        return None
    before, after = float(median(rest)), float(median(during))
    if after < least * before:
        return None
    stretches = [
        (_onset(times.seconds, places[first - 1], places[first + 1], before, after), int(places[stop]))
        for first, stop in parts
    ]
    for (first, _), (onset, stop) in zip(parts, stretches):
        inside[places[first - 1] : stop] = np.arange(places[first - 1], stop) >= onset
    return Slow(stretches, inside, before, after)


def _onset(seconds: np.ndarray, first: int, stop: int, before: float, after: float) -> int:
    """Return the row, of the two parts from `first` on of which the second is slow, from which on the steps are: the second's first where none stands out."""
    fast = np.flatnonzero(seconds[first:stop] < np.sqrt(before * after))
    middle = (first + stop) // 2
    return int(first + fast[-1] + 1) if len(fast) and first + fast[-1] + 1 < stop else middle


def _time_share(times: Pace, slow: Slow) -> float:
    """Return which share of the run's time the stretches take, where every step does equally much."""
    spent = times.seconds * np.diff(times.steps, prepend=times.steps[0])
    return float(spent[slow.inside].sum() / spent.sum())


def _lost_share(times: Pace, slow: Slow) -> float:
    """Return which share of the time of the stretches is lost: their mean against what was usual, without the rare stall, which is no slowness."""
    spent = np.minimum(times.seconds[slow.inside], STALLS * slow.after)
    weights = np.diff(times.steps, prepend=times.steps[0])[slow.inside]
    return float(max(0.0, 1 - slow.before / np.average(spent, weights=np.maximum(weights, 1))))


def _lost_seconds(run: Run, times: Pace, slow: Slow, share: float) -> float | None:
    """Return the seconds lost in the stretches; None where the log does not say how long the steps took."""
    steps = times if times.unit == "step" else step_times(run)
    if steps is not None and run.step_kind == "step" and not is_clock(steps.seconds):
        spent = steps.seconds * np.diff(steps.steps, prepend=steps.steps[0])
        place = np.minimum(np.searchsorted(times.steps, steps.steps), len(times.steps) - 1)
        return share * float(spent[slow.inside[place]].sum())
    if run.tokens is None or times.metric != "tokens_per_sec":
        return None
    tokens = np.interp(times.steps, run.tokens.steps, run.tokens.values)
    spent = times.seconds * np.diff(tokens, prepend=tokens[0])
    return share * float(spent[slow.inside].sum())


def _times(slow: Slow, now: bool) -> str:
    """Write both times in the unit that suits the first."""
    unit, scale = ("s", 1) if slow.before >= 0.1 else ("ms", 1e3) if slow.before >= 1e-4 else ("µs", 1e6)
    usual, there = (f"{figure(seconds * scale, 3)} {unit}" for seconds in (slow.before, slow.after))
    return f"{usual} then, {there} now" if now else f"{there} against {usual}"


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
