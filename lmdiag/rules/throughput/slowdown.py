import numpy as np

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


@rule(family="throughput", needs=("curve",), severity=Severity.INFO)
def check(run: Run, _: Curve, *, smallest: float = 1.25, warning: float = 1.33, lost_s: float = 60.0) -> Findings:
    """Training gets slower and stays slower.

    ## What it looks for
    A token, or a step, that takes longer at the end of the run than it did before.

    ## How it decides
    The median of the last fifth over the median of the stretch from 10% to 40% of the run is `smallest` or more, and the fastest quarter of the
    late records is slower than 90% of the earlier ones, so that scatter cannot pass for a change. 30 records are needed. It is a warning where a quarter
    of the time or more has been lost ever since (a ratio of `warning`), in a stretch that takes at least a quarter of the run's time, and the loss is not known
    to be below `lost_s` seconds: a slower toy run costs nobody anything. Tokens per second are preferred; else step times, else the clock.

    ## Why it matters
    A run that is twice as slow for its second half costs half as much again.

    ## False alarms it avoids
    Compilation and caches in the first tenth, pauses for evaluations and checkpoints (medians), longer sequences where tokens per second are logged.

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
    n = len(times.seconds)
    usual, late = times.seconds[int(USUAL[0] * n) : int(USUAL[1] * n)], times.seconds[int(LATE * n) :]
    before, after = float(median(usual)), float(median(late))
    ratio = after / before
    if ratio < smallest or quantile(late, 0.25) <= quantile(usual, 0.9):
        return
    onset = _onset(times, before * np.sqrt(ratio))
    lost, share = _lost_seconds(run, times, onset, 1 - before / after), _time_share(times, onset)
    costly = ratio >= warning and share >= LONG and (lost is None or lost >= lost_s)
    yield Finding(
        f"From {run.place(onset)} on a {times.unit} takes {figure(ratio, 2)} times as long as before: "
        f"{_times(before, after)}; {1 - before / after:.0%} of the time since then is lost"
        + (f", {lost / 60:,.0f} minutes." if lost is not None and lost >= 90 else "."),
        onset,
        int(times.steps[-1]),
        times.metric,
        {"ratio": ratio, "before_s": before, "after_s": after, **({} if lost is None else {"lost_s": lost})},
        _advice(run, onset),
        Severity.WARNING if costly else Severity.INFO,
    )


def _onset(times: Pace, bar: float) -> int:
    """Return the step after the last stretch that was still fast."""
    levels, starts = block_medians(times.seconds, BLOCKS)
    fast = np.flatnonzero(levels < bar)
    return int(times.steps[starts[min(fast[-1] + 1, len(starts) - 1)]]) if len(fast) else int(times.steps[0])


def _time_share(times: Pace, onset: int) -> float:
    """Return which share of the run's time lies behind a step, where every step does equally much."""
    spent = times.seconds * np.diff(times.steps, prepend=times.steps[0])
    return float(spent[times.steps >= onset].sum() / spent.sum())


def _lost_seconds(run: Run, times: Pace, onset: int, lost_share: float) -> float | None:
    """Return the seconds lost since a step; None where the log does not say how long the steps took."""
    steps = times if times.unit == "step" else step_times(run)
    if steps is not None and run.step_kind == "step" and not is_clock(steps.seconds):
        spent = steps.seconds * np.diff(steps.steps, prepend=steps.steps[0])
        return lost_share * float(spent[steps.steps >= onset].sum())
    if run.tokens is None or times.metric != "tokens_per_sec":
        return None
    late = times.steps >= onset
    tokens = np.interp(times.steps, run.tokens.steps, run.tokens.values)
    return lost_share * float((times.seconds * np.diff(tokens, prepend=tokens[0]))[late].sum())


def _times(before: float, after: float) -> str:
    """Write both times in the unit that suits the first."""
    unit, scale = ("s", 1) if before >= 0.1 else ("ms", 1e3) if before >= 1e-4 else ("µs", 1e6)
    return f"{figure(before * scale, 3)} {unit} then, {figure(after * scale, 3)} {unit} now"


def _advice(run: Run, onset: int) -> tuple[str, ...]:
    loader = (
        "Compare data_time_s before and after: it says whether the loader is the cause."
        if "data_time_s" in run
        else "Log the time spent waiting for data (data_time_s): it tells the loader from the device."
    )
    return (
        f"Look at what else began on the machine at about {run.place(onset)}: neighbours, throttling, a full disk.",
        loader,
        "If memory grows as well, look for a leak; otherwise restart on another machine from the last checkpoint.",
    )
