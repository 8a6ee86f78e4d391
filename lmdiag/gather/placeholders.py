"""What stands where nothing was measured: NaN, as in the column of an evaluation beside each training loss, and records of zeros."""

from __future__ import annotations

import numpy as np
from msgspec.structs import replace

from lmdiag.gather.axis import Axis
from lmdiag.gather.translated import Translated
from lmdiag.readers.rawlog import Column

# How many values tell an interval, and how many records lie between two of them: where another loss stands beside the NaN, and where
# none does, for each second loss may be a true NaN.
FEWEST, LEAST_APART = 3, 2
FEWEST_ALONE, LEAST_APART_ALONE = 5, 3
UNEVEN = 1.5  # times the usual interval: at twice it, an evaluation came to nothing
FEWEST_ZEROS = 3  # numbers of a record: of fewer each may be 0 in earnest
CLOCKS = frozenset("epoch elapsed_s timestamp step_time_s".split())
APART = 0.9  # of the values of one column, for which another has none


def without_placeholders(columns: list[Translated], axis: Axis) -> list[Translated]:
    """Return the columns without the NaN that stands where nothing was measured."""
    sparse = [_measured(column, columns, axis.steps) for column in columns]
    rare = [column.column.rows[where] for column, where in zip(columns, sparse) if where is not None]
    kept = []
    for column, where in zip(columns, sparse):
        measured = _not_beside(column.column, rare) if where is None and rare else where
        if measured is not None and not measured.all():
            part = Column(column.column.rows[measured], column.column.values[measured])
            column = replace(column, column=part, unmeasured=int((~measured).sum()))
        kept.append(column)
    return kept


def without_records_of_zeros(columns: list[Translated], axis: Axis) -> list[Translated]:
    """Return the columns without records of nothing but zeros at the step of a record of numbers, as of an evaluation that fills in the line of training."""
    loss = max(
        (column.column for column in columns if column.metric == "loss"), key=lambda one: len(one.rows), default=None
    )
    if loss is None or not (zero := loss.values == 0).any() or zero.all():
        return columns
    numbers, zeros = np.zeros((2, len(axis.steps)), np.int64)
    for column in columns:
        if column.metric not in CLOCKS:
            numbers[column.column.rows] += 1
            zeros[column.column.rows] += column.column.values == 0
    known = axis.steps[loss.rows[~zero]]
    empty = loss.rows[zero]
    empty = empty[
        (numbers[empty] == zeros[empty]) & (numbers[empty] >= FEWEST_ZEROS) & np.isin(axis.steps[empty], known)
    ]
    return [_without(column, empty, told=column.column is loss) for column in columns] if len(empty) else columns


def _without(column: Translated, rows: np.ndarray, told: bool) -> Translated:
    kept = ~np.isin(column.column.rows, rows)
    if kept.all():
        return column
    part = Column(column.column.rows[kept], column.column.values[kept])
    guess = f'{len(rows):,} records of zeros beside others of the same step were taken as "not measured"'
    return replace(column, column=part, guess=guess if told else column.guess)


def _beside(column: Translated, columns: list[Translated]) -> bool:
    """Tell whether another loss has a value in each record in which this column is NaN."""
    nan = column.column.rows[np.isnan(column.column.values)]
    others = (other.column for other in columns if other is not column and "loss" in other.metric)
    return any(np.isin(nan, other.rows[~np.isnan(other.values)]).all() for other in others)


def _measured(of: Translated, columns: list[Translated], steps: np.ndarray) -> np.ndarray | None:
    """Return which values of a column were measured, bool[n], where each stands alone among NaN; None where they do not.

    At an even interval, what stands in the place of a value was measured, NaN or not, up to the last record.
    """
    column, values = of.column, of.column.values
    nan = np.isnan(values)
    if len(values) < 2 * FEWEST or not nan.any():
        return None
    at = np.flatnonzero(~nan)
    fewest, apart = (FEWEST, LEAST_APART) if _beside(of, columns) else (FEWEST_ALONE, LEAST_APART_ALONE)
    several = (np.diff(steps[column.rows]) == 0).any()  # processes, of which one may be broken
    if len(at) < fewest or several:
        return None
    gaps = np.diff(at)
    even = gaps[:-1] if len(gaps) > 2 else gaps  # the last one may be that of an evaluation at the end
    interval = int(np.median(even))
    if even.min() < apart or at[0] > UNEVEN * interval:
        return None
    if not (even % interval).any() and (even == interval).mean() > 0.5:
        return ~nan | (np.arange(len(values)) % interval == at[0] % interval)
    behind = len(values) - 1 - at[-1]
    return ~nan if max(even.max(), behind) <= UNEVEN * interval else None


def _not_beside(column: Column, rare: list[np.ndarray]) -> np.ndarray | None:
    """Return which values of a column were measured, where it is NaN in those records alone in which a rarer one has a value."""
    nan = np.isnan(column.values)
    if not nan.any():
        return None
    rows = column.rows[nan]
    fits = [other for other in rare if np.isin(rows, other).all() and np.isin(other, rows).mean() >= APART]
    return ~nan if fits else None
