"""Rows being collected from a printed log, on their way to a `RawLog`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np

from lmdiag.readers.rawlog import Column
from lmdiag.readers.tables.tally import Tally
from lmdiag.run import Event, Skipped

STEP, EPOCH, POSITION = "step", "epoch", "position"
LARGEST = {STEP: 1e13, EPOCH: 1e5, POSITION: 1e13}  # beyond these, and NaN, a counter is damaged
MANY_SKIPPED = 1000  # so many are listed one by one, the rest is only counted


class Table:
    """Grows row by row; `columns` maps a name to the rows it stands in and its values there.

    >>> table = Table()
    >>> table.add(7, {"step": 1, "loss": 2.5})
    >>> table.last_step, table.columns["loss"]
    (1, ([0], [2.5]))
    """

    def __init__(self) -> None:
        self.lines: Any = []  # lists while the table grows, arrays once the rows of a large log were joined
        self.ranks: list[int | None] = []
        self.columns: dict[str, tuple[Any, Any]] = {}
        self.rows_elsewhere = 0  # rows of the log so far that are kept in another table for the time being
        self.config: dict[str, Any] = {}
        self.events: list[Event] = []
        self.event_rows: list[int] = []  # how many rows had been read when the event was seen
        self.said: list[tuple[int, Mapping[str, float]]] = []  # rows read before a message, and what it measured
        self.starts: list[int] = []  # lines at which another run begins
        self.notes: list[str] = []
        self.skipped: list[Skipped] = []
        self.names: dict[str, str | None] = {}
        self.scales: dict[str, float] = {}
        self.units: dict[str, str] = {}
        self.totals: Any = []  # per row: the last step as the line announced it, 0 where it did not
        self.last_step: int | None = None
        self.tally = Tally()
        self.n_skipped = 0

    def copied(self) -> Table:
        """Return a table that further rows do not change."""
        twin = Table()
        for name, value in vars(self).items():
            setattr(twin, name, value.copy() if isinstance(value, list | dict) else value)
        twin.config = deepcopy(self.config)
        twin.columns = {name: (list(rows), list(values)) for name, (rows, values) in self.columns.items()}
        return twin

    def add(self, line: int, values: Mapping[str, float], rank: int | None = None, total: float = 0) -> None:
        """Append one row; a step or epoch beyond any run is counted as skipped."""
        row = len(self.lines)
        for name, value in values.items():
            if name in LARGEST and not abs(value) <= LARGEST[name]:
                self.skip(line, f"{name} {value:g} is no place in a run")
                continue
            column = self.columns.get(name)
            if column is None:
                column = self.columns[name] = ([], [])
            column[0].append(row)
            column[1].append(value)
        self.lines.append(line)
        self.ranks.append(rank)
        self.totals.append(total if total <= LARGEST[STEP] else 0)
        step = values.get(STEP)
        if step is not None and abs(step) <= LARGEST[STEP]:
            self.last_step = int(step)

    def extend(self, lines: Sequence[int], columns: Mapping[str, Sequence[float]], ranks: Sequence[int | None]) -> None:
        """Append rows that all have the same columns."""
        if any(not abs(value) <= LARGEST[name] for name in LARGEST if name in columns for value in columns[name]):
            for line, rank, *row in zip(lines, ranks, *columns.values()):
                self.add(line, dict(zip(columns, row)), rank)
            return
        rows = range(len(self.lines), len(self.lines) + len(lines))
        for name, values in columns.items():
            column = self.columns.setdefault(name, ([], []))
            column[0].extend(rows)
            column[1].extend(values)
        self.lines.extend(lines)
        self.ranks.extend(ranks)
        self.totals.extend([0] * len(lines))
        if STEP in columns:
            self.last_step = int(columns[STEP][-1])

    @property
    def rows_seen(self) -> int:
        """How many rows of the log stand before the piece that is being read."""
        return len(self.lines) + self.rows_elsewhere

    def happened(self, event: Event) -> None:
        """Note an event behind the rows read so far."""
        self.events.append(event)
        self.event_rows.append(self.rows_seen)

    def skip(self, line: int, reason: str) -> None:
        """Count a piece that looked like a record and could not be read."""
        self.n_skipped += 1
        if len(self.skipped) < MANY_SKIPPED:
            self.skipped.append(Skipped(line, reason))
        else:
            more = self.skipped.pop() if len(self.skipped) > MANY_SKIPPED else Skipped(0, "more of these", 0)
            self.skipped.append(Skipped(0, more.reason, more.count + 1))

    def cells(self, name: str) -> np.ndarray:
        """Return float64[n_rows], the values of a column, NaN where a row has none."""
        cells = np.full(len(self.lines), np.nan)
        if name in self.columns:
            rows, values = self.columns[name]
            cells[rows] = values
        return cells

    def put(self, name: str, cells: np.ndarray) -> None:
        """Replace a column by its value in every row; NaN stands for nothing."""
        rows = np.flatnonzero(~np.isnan(cells))
        self.columns[name] = (rows.tolist(), cells[rows].tolist())

    def forget(self, name: str, sentinel: float) -> None:
        """Take a value out of a column that stands for no measurement."""
        rows, values = (np.asarray(side) for side in self.columns.get(name, ([], [])))
        kept = values != sentinel
        if not kept.all():
            self.columns[name] = (rows[kept], values[kept])

    def move_events(self, before: np.ndarray) -> None:
        """Renumber the events at rows whose step was float64[n_rows] `before` the counters were made one."""
        after = self.cells(STEP)
        own = np.flatnonzero(~np.isnan(before) & ~np.isnan(after))
        for k, (event, row) in enumerate(zip(self.events, self.event_rows)):
            earlier = own[: np.searchsorted(own, row)]
            if len(earlier) and event.step == before[earlier[-1]]:
                self.events[k] = replace(event, step=int(after[min(row, len(after)) - 1]))
        if len(own):
            self.last_step = int(after[-1])

    def taken(self, first: int, last: int) -> dict[str, Column]:
        """Return the columns of the rows first <= row < last, counted from `first`."""
        columns = {}
        for name, (rows, values) in self.columns.items():
            where = np.asarray(rows, np.int64)
            start, stop = np.searchsorted(where, [first, last])
            if stop > start:
                columns[name] = Column(where[start:stop] - first, np.asarray(values, np.float64)[start:stop])
        return columns

    def keep(self, chosen: np.ndarray) -> None:
        """Keep the rows selected by a boolean mask."""
        position = np.cumsum(chosen) - 1
        for name, (rows, values) in list(self.columns.items()):
            kept = [(int(position[row]), value) for row, value in zip(rows, values) if chosen[row]]
            self.columns[name] = ([row for row, _ in kept], [value for _, value in kept])
        self.lines = [line for line, good in zip(self.lines, chosen) if good]
        self.ranks = [rank for rank, good in zip(self.ranks, chosen) if good]
        self.totals = [total for total, good in zip(self.totals, chosen) if good]
