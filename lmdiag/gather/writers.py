"""A log that two programs write at once, as two that resumed the same run do: their records are taken apart."""

from __future__ import annotations

import numpy as np
from msgspec.structs import replace

from lmdiag.gather.arranged import Arranged
from lmdiag.readers.rawlog import in_order

BEGINNING = 10  # records in order before two of a step begin: else it is the way of the program to write a step twice
SWITCHES = 8  # times that the records change over between the writers: a resume changes over once
MOST_WRITERS = 4
EQUAL = 0.5  # with more equal losses of equal steps it is one run written twice


def taken_apart(log: Arranged) -> Arranged:
    """Return the log with the records of each writer together, the one that began last at the end; a note says so."""
    main = log.main
    if main is None or log.axis.kind == "record" or log.raw.spans:
        return log
    rows = main.column.rows
    steps = log.axis.steps[rows]
    writers = writers_of(steps, main.column.values)
    if writers is None or _one_run_twice(steps, main.column.values, writers):
        return log
    raw = in_order(log.raw, np.argsort(_of_all_rows(log.axis.steps, rows, writers), kind="stable"))
    first = int(steps[writers > 0].min())
    note = (
        f"From {log.axis.kind} {first:,} on the records of two runs alternate, as when two programs resume one log; "
        "they were taken apart, and those of the run that began last are used."
    )
    return Arranged(replace(raw, notes=(*raw.notes, note)))


def writers_of(steps: np.ndarray, values: np.ndarray) -> np.ndarray | None:
    """Return which writer each record comes from: int64[n], None where there is one.

    >>> alternating = [step for pair in zip(range(11, 21), range(11, 21)) for step in pair]
    >>> writers_of(np.array([*range(1, 11), *alternating]), np.array([2.0] * 11 + [3.0, 2.0] * 9 + [3.0]))[9:14].tolist()
    [0, 0, 1, 0, 1]
    >>> writers_of(np.array([*range(1, 21), *range(11, 31)]), np.ones(40)) is None
    True
    """
    apart = np.diff(steps)
    falls = np.flatnonzero(apart <= 0)
    if len(falls) < SWITCHES // 2 or falls[0] + 1 < BEGINNING:
        return None
    start, interval = int(falls[0]) + 1, int(np.median(apart[: falls[0]]))
    lasts, levels = [int(steps[start - 1])], [float(values[start - 1])]  # of each writer
    writers, current, switches = np.zeros(len(steps), np.int64), 0, 0
    for at, (step, value) in enumerate(zip(steps[start:].tolist(), np.nan_to_num(values[start:]).tolist()), start):
        goes_on = [number for number, last in enumerate(lasts) if step == last + interval]
        if goes_on:  # where both are at one step, the loss tells them apart
            chosen = min(goes_on, key=lambda number: abs(levels[number] - value))
            switches += chosen != current
        else:
            if len(lasts) == MOST_WRITERS:
                return None
            chosen = len(lasts)
            lasts.append(step)
            levels.append(value)
        lasts[chosen], levels[chosen] = step, (levels[chosen] + value) / 2
        writers[at] = current = chosen
    return writers if switches >= SWITCHES else None


def _of_all_rows(steps: np.ndarray, rows: np.ndarray, writers: np.ndarray) -> np.ndarray:
    """Return the writer of every row: one without a loss, such as an evaluation, is by the last that wrote its step."""
    known = dict(zip(rows.tolist(), writers.tolist()))
    owners: dict[int, int] = {}
    current, found = 0, np.zeros(len(steps), np.int64)
    for row, step in enumerate(steps.tolist()):
        if row in known:
            current = owners[step] = known[row]
        found[row] = owners.get(step, current)
    return found


def _one_run_twice(steps: np.ndarray, values: np.ndarray, writers: np.ndarray) -> bool:
    """Tell whether the writers wrote the same losses."""
    first, last = writers == 0, writers == writers.max()
    _, left, right = np.intersect1d(steps[first], steps[last], return_indices=True)
    same = np.equal(values[first][left], values[last][right])
    return not len(same) or float(same.mean()) > EQUAL
