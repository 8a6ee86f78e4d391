"""A log into which several processes, or micro-batches, write each step without saying which they are: their mean is that of the step."""

from __future__ import annotations

import numpy as np
from msgspec.structs import replace

from lmdiag.gather.arranged import Arranged
from lmdiag.readers.rawlog import Column, part
from lmdiag.readers.tables.ranks import prints_of_steps

FEWEST_STEPS = 10
MOST = 64  # more values of each step are those of an epoch
CLOSE = 0.25  # of its fall: how far the losses of one step are apart at most


def averaged(log: Arranged) -> Arranged:
    """Return the log with one value for each step in place of as many in every step, and a note that says so."""
    main = log.main
    if main is None or log.axis.kind != "step" or log.raw.spans:
        return log
    found = _prints(log.axis.steps[main.column.rows], main.column.values)
    counted = any(_counts(log, column) for column in log.raw.columns.values()) if found else True
    if not found or counted:
        return log
    columns = {name: _mean(log, column, found) for name, column in log.raw.columns.items() if name != log.axis.column}
    kept = np.unique(np.concatenate([column.rows for column in columns.values()]))
    steps = {name: column for name, column in log.raw.columns.items() if name == log.axis.column}
    raw = part(replace(log.raw, columns={**steps, **columns}), kept, "")
    note = f"Each {log.axis.kind} was written {found} times (by ranks without a name, or micro-batches): the values are the means."
    return Arranged(replace(raw, notes=(*raw.notes, note)))


def _prints(steps: np.ndarray, values: np.ndarray) -> int:
    """Return how often each step has a loss, 0 where that varies, or where the losses are no parts of one."""
    if len(steps) < 2 * FEWEST_STEPS or (np.diff(steps) > 0).all():
        return 0
    found = prints_of_steps(np.arange(len(steps)), steps, 0)
    if found is None:
        return 0
    order, starts, times = found
    whole = starts[np.diff(starts, append=len(steps)) == times]
    if len(whole) < FEWEST_STEPS or times > MOST:
        return 0
    each = values[order][whole[:, None] + np.arange(times)]
    each = each[np.isfinite(each).all(axis=1)]
    if not len(each) or (each == each[:, :1]).all():  # copies
        return 0
    return times if np.median(np.ptp(each, axis=1)) <= CLOSE * np.ptp(each.mean(axis=1)) else 0


def _counts(log: Arranged, column: Column) -> bool:
    """Tell whether a column counts from one value of a step to the next, as one of micro-batches does."""
    whole = column.values == np.rint(column.values)
    if not whole.all():
        return False
    order = np.argsort(log.axis.steps[column.rows], kind="stable")
    within = np.diff(log.axis.steps[column.rows][order]) == 0
    return bool(within.any() and (np.diff(column.values[order])[within] > 0).all())


def _mean(log: Arranged, column: Column, times: int) -> Column:
    """Return the means of a column that mostly has as many values in each step, any other as it is."""
    steps = log.axis.steps[column.rows]
    found = prints_of_steps(np.arange(len(steps)), steps, times)
    if found is None:
        return column
    order, starts, _ = found
    values, lengths = column.values[order], np.diff(starts, append=len(steps))
    first = values[starts]
    alike = np.logical_and.reduceat(values == np.repeat(first, lengths), starts)
    with np.errstate(invalid="ignore"):
        means = np.where(alike, first, np.add.reduceat(values, starts) / lengths)
    by = np.argsort(column.rows[order][starts])
    return Column(column.rows[order][starts][by], means[by])
