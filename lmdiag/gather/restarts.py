"""Where the step counter of a log goes back: segments of one run, a counter of each epoch, or another run."""

from __future__ import annotations

import numpy as np

from lmdiag.gather.arranged import Arranged
from lmdiag.gather.axis import Axis
from lmdiag.naming import spelling
from lmdiag.run import Segment
from lmdiag.stats.noise import scatter
from lmdiag.stats.returning import AROUND, CLEAR, NOISE, loss_returns
from lmdiag.stats.windows import distinct, median

DISTINCT_STEPS = 0.6  # with fewer the counter starts again each epoch


def segments(log: Arranged) -> tuple[Axis, tuple[Segment, ...]]:
    """Cut the log where its counter goes back; where that happens each epoch, count records instead."""
    raw, found, main = log.raw, log.axis, log.main
    if raw.spans:  # a converted log: its steps are settled, and a segment begins wherever they go back
        first_rows = [0, *(np.flatnonzero(np.diff(found.steps) < 0) + 1).tolist()]
        return found, tuple(Segment(first, last, row) for (first, last), row in zip(raw.spans, first_rows))
    rows = np.arange(raw.n_rows) if main is None else main.column.rows
    steps = found.steps[rows]
    if not len(steps):
        return found, ()
    if len(steps) > 1 and np.diff(steps).min() <= 0 and main is not None:
        starts = restarts(steps)
        values = main.column.values
        resumed = len(starts) > 0 and all(losses_repeat(steps, values, starts))
        if not resumed and (counter_repeats(steps, values) or _continues_under_a_new_count(steps, values, starts)):
            if (through := _through_epochs(log)) is not None:
                return through, _between(through.steps, [0, raw.n_rows])
            note = f'"{found.column or "step"}" starts again during the log; its records are counted instead.'
            counted = Axis(np.arange(1, raw.n_rows + 1), "record", "", (*found.notes, note))
            return counted, (Segment(1, raw.n_rows, 0),)
        if len(starts):
            return found, _between(found.steps, [0, *rows[starts].tolist(), raw.n_rows])
    return found, _between(found.steps, [0, raw.n_rows])


def _through_epochs(log: Arranged) -> Axis | None:
    """Count the steps of each epoch on through the run, where a column numbers the epochs, each starts them again, and all are as long."""
    raw, found = log.raw, log.axis
    column = next((column for name, column in raw.columns.items() if spelling(name).name == "epoch"), None)
    if column is None or len(column.rows) < raw.n_rows or (column.values % 1).any():
        return None
    back = np.flatnonzero(np.diff(found.steps) < 0) + 1
    ends = np.flatnonzero(np.diff(column.values)) + 1
    if not len(back) or not np.array_equal(back, ends) or (np.diff(column.values) < 0).any():
        return None
    lasts = np.maximum.reduceat(found.steps, np.append(0, back))
    longest = int(lasts.max())
    if found.steps.min() < 1 or lasts[:-1].min() < longest:  # whose length nobody says
        return None
    steps = found.steps + longest * np.searchsorted(back, np.arange(raw.n_rows), side="right")
    note = f'"{found.column or "step"}" starts again with each epoch, of {longest:,}; it is counted on.'
    return Axis(steps, found.kind, found.column, (*found.notes, note))


def _continues_under_a_new_count(steps: np.ndarray, values: np.ndarray, starts: np.ndarray) -> bool:
    return len(starts) > 0 and all(begins_anew(steps, starts)) and not any(loss_returns(values, starts, clear=0))


def _between(steps: np.ndarray, bounds: list[int]) -> tuple[Segment, ...]:
    return tuple(
        Segment(int(steps[first:stop].min()), int(steps[first:stop].max()), first)
        for first, stop in zip(bounds, bounds[1:])
    )


def restarts(steps: np.ndarray) -> np.ndarray:
    """Return the indices at which the counter goes back by more than one interval and goes on from there.

    A single record out of its place, such as a late evaluation or a last summary, is no restart.

    >>> restarts(np.array([10, 20, 30, 20, 30, 40])), restarts(np.array([10, 20, 30, 5, 40, 50]))
    (array([], dtype=int64), array([], dtype=int64))
    >>> restarts(np.array([10, 20, 30, 40, 10, 20, 30, 40, 50]))
    array([4])
    """
    jumps = np.diff(steps)
    if len(jumps) == 0 or jumps.min() >= 0:
        return np.empty(0, np.int64)
    interval = median(jumps[jumps > 0]) if (jumps > 0).any() else 0
    back = np.flatnonzero(jumps < -interval)
    after = np.minimum(back + 2, len(steps) - 1)
    lasting = (back + 2 < len(steps)) & (steps[after] < steps[back])
    return back[lasting] + 1


def counter_repeats(steps: np.ndarray, values: np.ndarray) -> bool:
    """Tell whether so few steps are distinct that the counter must start again each epoch.

    Records that repeat step and value, as in a log that polls another one, count once.

    >>> counter_repeats(np.array([1, 2, 1, 2, 1, 2]), np.array([6.0, 5, 4, 3, 2, 1]))
    True
    >>> counter_repeats(np.array([1, 1, 1, 2, 2, 2]), np.array([6.0, 6, 6, 3, 3, 3]))
    False
    """
    n_distinct = len(distinct(steps))
    if n_distinct >= DISTINCT_STEPS * len(steps):
        return False
    pairs = np.unique(np.stack([steps, np.ascontiguousarray(values).view(np.int64)]), axis=1)
    return n_distinct < DISTINCT_STEPS * pairs.shape[1]


def begins_anew(steps: np.ndarray, starts: np.ndarray) -> list[bool]:
    """Tell for each restart whether the counter begins from nothing again, and not from a checkpoint.

    >>> begins_anew(np.array([10, 20, 30, 10, 20, 30]), np.array([3]))
    [True]
    """
    pieces = np.split(steps, starts)
    return [len(p) > 1 and bool(p[0] <= steps[0] + 2 * median(np.diff(p))) for p in pieces[1:]]


def loss_jumps(values: np.ndarray, starts: np.ndarray) -> list[bool]:
    """Tell for each restart whether the loss goes on from a clearly higher level, as when another stage or run begins.

    >>> loss_jumps(np.array([9.0, 6, 4, 3.5, 3.1, 3.0, 6.1, 6.0, 5.9]), np.array([6]))
    [True]
    """
    finite = np.isfinite(values)
    curve, jumped = values[finite], []
    for at in np.concatenate([[0], np.cumsum(finite)])[np.asarray(starts, np.int64)].tolist():
        before, after = curve[max(at - NOISE, at // 2) : at], curve[at : at + AROUND]
        if at < AROUND or len(after) < AROUND:
            jumped.append(False)
            continue
        rise = median(after) - median(curve[at - AROUND : at])
        jumped.append(bool(rise > CLEAR * scatter(before)))
    return jumped


def losses_repeat(steps: np.ndarray, values: np.ndarray, starts: np.ndarray) -> list[bool]:
    """Tell for each restart whether the first records after it hold the losses that the same steps had before: a resume.

    >>> steps, losses = np.array([0, 1, 2, 3, 1, 2, 3, 4]), np.array([9.0, 6, 4, 3, 6.1, 4.1, 3.1, 2.5])
    >>> losses_repeat(steps, losses, np.array([4]))
    [True]
    """
    seen: dict[int, int] = {}  # step -> the last record of it
    repeated, known = [], 0
    for start in starts:
        seen.update(zip(steps[known:start].tolist(), range(known, start)))
        known = start
        again = [
            (row, seen[step]) for row, step in enumerate(steps[start : start + AROUND].tolist(), start) if step in seen
        ]
        apart = sum(abs(values[row] - values[there]) for row, there in again)
        moved = sum(abs(values[there] - values[start - 1]) for _, there in again)
        repeated.append(bool(apart < 0.25 * moved))
    return repeated
