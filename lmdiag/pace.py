"""How fast a run goes: the time of a step or of a token, from whichever clock its log holds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec import Struct

from lmdiag.facts import printed_fact
from lmdiag.run import Run, Series
from lmdiag.stats.windows import distinct

SPEEDS = ("tokens_per_sec", "tokens_per_sec_per_device")
CLOCKS = ("time", "elapsed_s")
MOST_INTERVALS = 400
CLOCK_GROWTH = 5.0  # times the first value: no step time grows so far without ever falling
GROWS = 0.9  # of the records, at which no larger batch came before: the last one of an epoch may be small
TICKS = 20  # an interval of a clock is as long as this many of its ticks, so that rounding is below 5%


class Pace(Struct, frozen=True, eq=False):
    """Seconds per `unit` ("step", "sample", "token" or "word") at steps int64[n], and the metric they come from."""

    steps: np.ndarray
    seconds: np.ndarray
    unit: str
    metric: str


def pace(run: Run) -> Pace | None:
    """Return how long a token takes, or else a step or a word; None for a log without speeds, step times and clock.

    Speeds come first: they do not change with the length of the sequences. Where the log tells of a batch that grows, a sample counts instead of a step.

    >>> run = Run("a", {"tokens_per_sec": Series(np.array([1, 2]), np.array([100.0, 50.0]))})
    >>> pace(run).seconds.tolist(), pace(run).unit
    ([0.01, 0.02], 'token')
    """
    return (
        _of_speed(run, SPEEDS, "token")
        or _of_samples(run, step_times(run))
        or _of_speed(run, ("words_per_sec",), "word")
    )


def _of_speed(run: Run, metrics: Sequence[str], unit: str) -> Pace | None:
    for metric in metrics:
        speed = _positive(run.series.get(metric))
        if len(speed):
            return Pace(speed.steps, 1 / speed.values, unit, metric)
    return None


def step_times(run: Run) -> Pace | None:
    """Return how long a step takes at each record: as logged, else from the clock; None where the log has neither."""
    times = _positive(run.series.get("step_time_s"))
    if len(times):
        return Pace(times.steps, times.values, "step", "step_time_s")
    for metric in CLOCKS:
        clock = run.series.get(metric)
        if clock is not None and len(clock) > 2:
            return _from_clock(clock.finite, metric)
    return None


def _of_samples(run: Run, times: Pace | None) -> Pace | None:
    """Return the time of a sample for that of a step, where the log tells of a batch that grows."""
    sizes = next((series for name, series in run.series.items() if printed_fact(name) == "batch_size"), None)
    sizes = _positive(sizes) if sizes is not None else _increments(run.series.get("samples"))
    if times is None or len(sizes) < 2 or is_clock(times.seconds):
        return times
    largest = np.maximum.accumulate(sizes.values)
    if largest[-1] == largest[0] or (sizes.values == largest).mean() < GROWS:
        return times
    rows = np.clip(np.searchsorted(sizes.steps, times.steps), 0, len(sizes) - 1)
    return Pace(times.steps, times.seconds / largest[rows], "sample", times.metric)


def _increments(counted: Series | None) -> Series:
    """Return how many samples a step took between records, whole numbers."""
    counted = _positive(counted)
    steps = np.diff(counted.steps)
    return Series(counted.steps[1:], np.round(np.diff(counted.values) / np.maximum(steps, 1)))


def is_clock(seconds: np.ndarray) -> bool:
    """Tell whether what is called the time of a step is the time since the start of the run.

    >>> is_clock(np.arange(1.0, 40.0)), is_clock(np.linspace(1.0, 2.0, 40))
    (True, False)
    """
    return bool((np.diff(seconds) > 0).all() and seconds[-1] >= CLOCK_GROWTH * seconds[0])


def _positive(series: Series | None) -> Series:
    if series is None:
        return Series(np.empty(0, np.int64), np.empty(0))
    with np.errstate(invalid="ignore"):
        return series.at(np.isfinite(series.values) & (series.values > 0))


def _from_clock(clock: Series, metric: str) -> Pace | None:
    """Return seconds per step between records far enough apart for the resolution of the clock."""
    if len(clock) < 3:
        return None
    tick = 1.0 if np.array_equal(clock.values, np.round(clock.values)) else 1e-3
    span = float(clock.values[-1] - clock.values[0])
    intervals = int(min(MOST_INTERVALS, len(clock) - 1, span / (TICKS * tick)))
    if intervals < 1:
        return None
    rows = distinct(np.linspace(0, len(clock) - 1, intervals + 1).astype(int))
    seconds = np.diff(clock.values[rows]) / np.diff(clock.steps[rows])
    forward = seconds > 0  # a clock goes back where another machine resumed
    return Pace(clock.steps[rows[1:]][forward], seconds[forward], "step", metric)
