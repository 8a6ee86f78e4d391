"""Which rows of a printed log belong to which run."""

from __future__ import annotations

import numpy as np

from lmdiag.readers.text.names import canonical
from lmdiag.readers.text.table import STEP, Table
from lmdiag.stats.returning import loss_returns


def separate(table: Table) -> list[tuple[int, int]]:
    """Return the spans of rows, first <= row < last, of the single runs.

    A step counter that goes back to its start is a new run where the log says that the run before had ended, where
    another number of steps is announced, or where the announced last step was reached and the loss goes back to its
    beginning, too; else it is a restart of the same run, or a further epoch.
    """
    table.columns = {
        name: (np.asarray(r, np.int64), np.asarray(v, np.float64)) for name, (r, v) in table.columns.items()
    }
    count = len(table.lines)
    rows, steps = table.columns.get(STEP, (np.empty(0, np.int64), np.empty(0)))
    starts, epochs = [0], np.empty(0, np.int64)
    back = np.flatnonzero(np.diff(steps) < 0) + 1
    if len(back):
        found, epochs = _restarts(table, rows, steps, back)
        starts += found
    named = np.searchsorted(np.asarray(table.lines), np.asarray(table.starts, np.int64)).tolist()
    starts = sorted({*starts, *named} - {count})
    spans = list(zip(starts, [*starts[1:], count]))
    totals = np.array(table.totals, np.float64)
    for run in np.unique(np.searchsorted(starts, epochs, "right") - 1):
        totals[slice(*spans[run])] = 0  # that many steps has an epoch
    table.totals = totals
    return spans


def _restarts(table: Table, rows: np.ndarray, steps: np.ndarray, back: np.ndarray) -> tuple[list[int], np.ndarray]:
    """Return the rows at which another run begins, and those at which another epoch of one does.

    `back` are the places at which the counter goes back.
    """
    ends = np.asarray(
        [row for row, event in zip(table.event_rows, table.events) if event.kind in ("end", "final_evaluation")],
        np.int64,
    )
    announced = np.asarray(table.totals, np.float64)[rows]
    said = np.maximum.accumulate(np.where(announced > 0, np.arange(len(rows)), -1))  # where a total was announced last
    starts: list[int] = []
    epochs: list[int] = []
    start, lowest, before = 0, steps[0], 0
    for at, returned in zip(back.tolist(), _returns(table, rows[back])):
        lowest, before = min(lowest, steps[before:at].min()), at
        planned = announced[said[at - 1]] if said[at - 1] >= start else 0.0
        if steps[at] > lowest:
            continue
        first, row = rows[start], rows[at]
        ended = np.searchsorted(ends, row, "right") > np.searchsorted(ends, first, "right")
        other = 0 < planned != announced[at] > 0
        reached = planned and steps[at - 1] >= planned - 1
        if ended or other or (reached and returned):
            starts.append(int(row))
            start, lowest = at, steps[at]
        elif reached:
            epochs.append(int(row))
    return starts, np.asarray(epochs, np.int64)


def _returns(table: Table, starts: np.ndarray) -> list[bool]:
    """Tell for each of these rows whether the fullest loss goes back to where the log began."""
    losses = [column for name, column in table.columns.items() if (canonical(name) or ("",))[0] == "loss"]
    rows, values = max(losses, key=lambda column: len(column[0]), default=(starts[:0], np.empty(0)))
    return loss_returns(values, np.searchsorted(rows, starts)) if len(rows) else [True] * len(starts)
