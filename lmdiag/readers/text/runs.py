"""Which rows of a printed log belong to which run."""

from __future__ import annotations

import numpy as np

from lmdiag.readers.text.table import STEP, Table


def separate(table: Table) -> list[tuple[int, int]]:
    """Return the spans of rows, first <= row < last, of the single runs.

    A step counter that goes back to its start is a new run where the run before had ended, by its announced last step
    or by its own word, or where another number of steps is announced; else it is a restart of the same run.
    """
    count = len(table.lines)
    rows, steps = (np.asarray(side) for side in table.columns.get(STEP, ([], [])))
    ends = [row for row, event in zip(table.event_rows, table.events) if event.kind in ("end", "final_evaluation")]
    announced = np.asarray(table.totals, np.float64)
    starts, start = [0], 0
    for at in (np.flatnonzero(np.diff(steps) < 0) + 1).tolist():
        row, total = int(rows[at]), announced[rows[at]]
        before = announced[rows[start:at]]
        planned = float(before[before > 0][-1]) if (before > 0).any() else 0.0
        anew = steps[at] <= steps[start:at].min()
        if anew and (_ended(steps[at - 1], planned, ends, starts[-1], row) or (total and planned and total != planned)):
            starts.append(row)
            start = at
    named = np.searchsorted(np.asarray(table.lines), np.asarray(table.starts, np.int64)).tolist()
    starts = sorted({*starts, *named} - {count})
    return list(zip(starts, [*starts[1:], count]))


def _ended(last_step: float, planned: float, ends: list[int], first_row: int, row: int) -> bool:
    """Whether the run that started at `first_row` was over before `row`."""
    return (planned > 0 and last_step >= planned - 1) or any(first_row < end <= row for end in ends)
