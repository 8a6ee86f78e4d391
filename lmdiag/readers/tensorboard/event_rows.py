"""Scalars of event files -> rows: one row per step and stretch of the run, however the tags were interleaved.

Tags of one run may count different things (`epoch_loss` beside `batch_loss`) and need not come in step order. Only a
tag whose own steps go back shows that the run was restarted.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from msgspec import Struct

from lmdiag.readers.rawlog import Column
from lmdiag.readers.tensorboard.event_file import EventFile

STEP, TIME = "step", "wall_time"


class Points(Struct, frozen=True, eq=False):
    """All scalars of a run in the order they were written: column ids, steps, times, values, and where files begin."""

    names: list[str]
    column_ids: np.ndarray
    steps: np.ndarray
    times: np.ndarray
    values: np.ndarray
    file_starts: np.ndarray

    def without(self, names: Collection[str]) -> Points:
        """Return the points of all but some columns, and no column that has none."""
        counts = np.bincount(self.column_ids, minlength=len(self.names))
        kept = np.array([count > 0 and name not in names for name, count in zip(self.names, counts)], bool)
        if kept.all():
            return self
        there = kept[self.column_ids]
        new_ids = np.cumsum(kept) - 1
        return Points(
            [name for name, keep in zip(self.names, kept) if keep],
            new_ids[self.column_ids[there]],
            self.steps[there],
            self.times[there],
            self.values[there],
            np.searchsorted(np.flatnonzero(there), self.file_starts),
        )


def points(files: Sequence[tuple[EventFile, dict[str, str]]]) -> Points:
    """Join files, given in the order they were begun, each with the column name of every tag."""
    ids: dict[str, int] = {}
    column_ids = []
    for file, columns in files:
        own = np.array([ids.setdefault(columns[tag], len(ids)) for tag in file.tags] or [0], np.int64)
        column_ids.append(own[file.tag_ids])
    return Points(
        list(ids),
        np.concatenate(column_ids),
        np.concatenate([f.steps for f, _ in files]),
        np.concatenate([f.times for f, _ in files]),
        np.concatenate([f.values for f, _ in files]),
        np.cumsum([0, *(len(f.steps) for f, _ in files)])[:-1],
    )


def rows_of(p: Points) -> tuple[dict[str, Column], int]:
    """Return the columns, with one for the steps and one for the times, and the number of rows."""
    if not len(p.steps):
        return {}, 0
    p, stretches = _in_order(p)
    steps, column_ids = p.steps, p.column_ids
    fresh = np.r_[True, (np.diff(steps) != 0) | (np.diff(stretches) != 0)]
    del stretches  # long logs fill the memory with such arrays
    alone = len(p.names) == 1  # then its values stand as they are, without a copy of each array
    by_column: Any = slice(None) if alone else np.argsort(column_ids, kind="stable")
    rows = _apart(np.cumsum(fresh) - 1, column_ids, by_column)
    n_rows = int(rows.max()) + 1
    step_of_row = np.empty(n_rows)
    step_of_row[rows] = steps
    columns = {_free(STEP, p.names): Column(np.arange(n_rows), step_of_row)}
    counts = np.bincount(column_ids, minlength=len(p.names))
    parts: Sequence[np.ndarray | slice] = np.split(by_column, np.cumsum(counts)[:-1]) if not alone else [by_column]
    for name, part in zip(p.names, parts):
        columns[name] = Column(rows[part], p.values[part])
    longest = parts[int(np.argmax(counts))]
    columns[_free(TIME, p.names)] = Column(rows[longest], p.times[longest])
    return columns, n_rows


def _restarts(p: Points) -> np.ndarray:
    """Return the indices at which a new stretch begins: a column's steps go back, and not for an earlier restart."""
    if (p.steps[1:] >= p.steps[:-1]).all():
        return np.empty(0, np.int64)
    by_column = np.argsort(p.column_ids, kind="stable")
    before, after = by_column[:-1], by_column[1:]
    back = (p.column_ids[before] == p.column_ids[after]) & (p.steps[after] < p.steps[before])
    order = np.argsort(after[back], kind="stable")
    found = [0]
    for last, first in zip(before[back][order].tolist(), after[back][order].tolist()):
        if last >= found[-1]:
            file_start = int(p.file_starts[np.searchsorted(p.file_starts, first, side="right") - 1])
            found.append(file_start if file_start > last else first)
    return np.array(found[1:], np.int64)


def _in_order(p: Points) -> tuple[Points, np.ndarray]:
    """Return the points stretch by stretch, by their steps, and the stretch of each."""
    stretches = np.searchsorted(_restarts(p), np.arange(len(p.steps)), side="right")
    if ((np.diff(p.steps) >= 0) | (np.diff(stretches) > 0)).all():
        return p, stretches
    order = np.lexsort((p.steps, stretches))
    ordered = Points(p.names, p.column_ids[order], p.steps[order], p.times[order], p.values[order], p.file_starts)
    return ordered, stretches[order]


def _apart(rows: np.ndarray, column_ids: np.ndarray, by_column: np.ndarray | slice) -> np.ndarray:
    """Give values of one column at the same step rows of their own, in the order they were written."""
    twice = (np.diff(rows[by_column]) == 0) & (np.diff(column_ids[by_column]) == 0)
    if not twice.any():
        return rows
    run_start = np.flatnonzero(np.r_[True, ~twice])
    repeat = np.arange(len(rows)) - np.repeat(run_start, np.diff(np.r_[run_start, len(rows)]))
    occurrence = np.empty(len(rows), np.int64)
    occurrence[by_column] = repeat
    return np.unique(rows * (int(repeat.max()) + 1) + occurrence, return_inverse=True)[1]


def _free(name: str, taken: Sequence[str]) -> str:
    while name in taken:
        name = f"_{name}"
    return name
