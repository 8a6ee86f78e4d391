"""Rows being collected from a printed log, on their way to a `RawLog`."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from copy import copy, deepcopy
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from lmdiag.patterns import lazy
from lmdiag.readers.rawlog import Column
from lmdiag.readers.tables.tally import Tally
from lmdiag.run import Event, Skipped

STEP, EPOCH, POSITION = "step", "epoch", "position"
TOTAL, RANK = " total", " rank"  # beside the columns: the announced last step, and the process that printed a record
LARGEST = {STEP: 1e13, EPOCH: 1e5, POSITION: 1e13}  # beyond these, and NaN, a counter is damaged
ROW = "i"  # the type of row numbers: four bytes
_OF_EPOCH = lazy(r"\W*[Ee]poch (\d+): ")
MANY_SKIPPED = 1000  # so many are listed one by one, the rest is only counted


def filled(values: np.ndarray, first: float | None = None) -> np.ndarray:
    """Carry the last known value forward, and back to the beginning `first` or the first one there is."""
    known = ~np.isnan(values)
    if not known.any():
        return values
    last = np.maximum.accumulate(np.where(known, np.arange(len(values)), -1))
    return np.where(last < 0, values[known.argmax()] if first is None else first, values[np.maximum(last, 0)])


def _where_printed(event: Event, row: int, steps: np.ndarray) -> Event:
    """Return a load that names a step at the row behind which it was printed: the rows count something else."""
    placed = 0 < row <= len(steps) and not np.isnan(steps[row - 1])
    return replace(event, step=int(steps[row - 1])) if placed and event.kind == "checkpoint_loaded" else event


class Table:
    """Grows row by row; `columns` maps a name to the rows it stands in and its values there.

    >>> table = Table()
    >>> table.add(7, {"step": 1, "loss": 2.5})
    >>> table.last_step, table.columns["loss"]
    (1, (array('i', [0]), array('d', [2.5])))
    """

    def __init__(self) -> None:
        self.lines: Any = array(ROW)
        self.columns: dict[str, tuple[Any, Any]] = {}
        self.beside: dict[str, tuple[Any, Any]] = {}  # columns of `TOTAL` and `RANK`
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
        self.called: dict[str, str] = {}  # words of the log that were read under another name
        self.of_epochs: set[bool] = set()  # whether the totals were announced as those of an epoch, or of the run
        self.last_step: int | None = None
        self.tally = Tally()
        self.n_skipped = 0

    @property
    def ranks(self) -> np.ndarray:
        """The process that printed each row, int64[n_rows], -1 where no line says so."""
        ranks = self.cells(RANK)
        return np.where(np.isnan(ranks), -1, ranks).astype(np.int64)

    @property
    def totals(self) -> np.ndarray:
        """The last step as the line of each row announced it, float64[n_rows], 0 where it did not."""
        totals = self.cells(TOTAL)
        return np.where(totals <= LARGEST[STEP], totals, 0.0)

    @totals.setter
    def totals(self, totals: np.ndarray) -> None:
        self.put(TOTAL, np.where(totals == 0, np.nan, totals))

    def _column(self, name: str) -> tuple[Any, Any]:
        columns = self.beside if name in (TOTAL, RANK) else self.columns
        return columns.setdefault(name, (array(ROW), array("d")))

    def copied(self) -> Table:
        """Return a table that further rows do not change."""
        twin = Table()
        for name, value in vars(self).items():
            setattr(twin, name, copy(value))
        twin.config = deepcopy(self.config)
        twin.columns = {name: (copy(rows), copy(values)) for name, (rows, values) in self.columns.items()}
        twin.beside = {name: (copy(rows), copy(values)) for name, (rows, values) in self.beside.items()}
        return twin

    def add(self, line: int, values: Mapping[str, float]) -> None:
        """Append one row; where its step is beyond any run, it is counted as skipped, as is an epoch that is."""
        if STEP in values:
            if self.leaves_out(line, values):
                return
            self.last_step = int(values[STEP])
        if EPOCH in values or POSITION in values:
            values = self._within_reason(line, values)
        row, columns = len(self.lines), self.columns
        for name, value in values.items():
            rows, kept = columns.get(name) or self._column(name)
            rows.append(row)
            kept.append(value)
        self.lines.append(line)

    def extend(self, lines: np.ndarray, columns: Mapping[str, np.ndarray]) -> None:
        """Append rows that all have the same columns."""
        if any(not (np.abs(columns[name]) <= most).all() for name, most in LARGEST.items() if name in columns):
            for k, line in enumerate(lines.tolist()):
                self.add(line, {name: float(column[k]) for name, column in columns.items()})
            return
        rows = np.arange(len(self.lines), len(self.lines) + len(lines), dtype=np.int32).tobytes()
        for name, column in columns.items():
            at, kept = self._column(name)
            at.frombytes(rows)
            kept.frombytes(column.tobytes())
        self.lines.frombytes(lines.astype(np.int32).tobytes())
        if STEP in columns:
            self.last_step = int(columns[STEP][-1])

    def leaves_out(self, line: int, values: Mapping[str, float]) -> bool:
        """Count a record of which the step is no place in a run as skipped; its loss is not that of the step before."""
        step = values.get(STEP, 0.0)
        beyond = not abs(step) <= LARGEST[STEP]
        if beyond:
            self.skip(line, f"step {step:g} is no place in a run")
        return beyond

    def _within_reason(self, line: int, values: Mapping[str, float]) -> Mapping[str, float]:
        """Return values without counters that are beyond any run."""
        beyond = [name for name, most in LARGEST.items() if name in values and not abs(values[name]) <= most]
        for name in beyond:
            self.skip(line, f"{name} {values[name]:g} is no place in a run")
        return {name: value for name, value in values.items() if name not in beyond} if beyond else values

    @property
    def rows_seen(self) -> int:
        """How many rows were read so far."""
        return len(self.lines)

    def happened(self, event: Event) -> None:
        """Note an event behind the rows read so far."""
        self.events.append(event)
        self.event_rows.append(len(self.lines))

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
        for columns in (self.columns, self.beside):
            if name in columns:
                rows, values = columns[name]
                cells[rows] = values
        return cells

    def put(self, name: str, cells: np.ndarray) -> None:
        """Replace a column by its value in every row; NaN stands for nothing."""
        rows = np.flatnonzero(~np.isnan(cells))
        (self.beside if name in (TOTAL, RANK) else self.columns)[name] = (rows, cells[rows])

    def carry(self, name: str, first: float | None = None) -> None:
        """Give rows without a value of a column that of the row before, the first rows `first` or the first value there is."""
        if name in self.columns:
            self.put(name, filled(self.cells(name), first))

    def plans_epochs(self, epochs: float) -> None:
        """Note of how many epochs the log says that the training has."""
        if 0 < epochs <= LARGEST[EPOCH]:
            self.config.setdefault("epochs", int(epochs))

    def forget(self, name: str, sentinel: float) -> None:
        """Take a value out of a column that stands for no measurement."""
        rows, values = (np.asarray(side) for side in self.columns.get(name, ([], [])))
        kept = values != sentinel
        if not kept.all():
            self.columns[name] = (rows[kept], values[kept])

    def move_events(self, before: np.ndarray) -> None:
        """Renumber the events at rows whose step was float64[n_rows] `before` the counters were made one."""
        after = self.cells(STEP)
        placed = np.flatnonzero(~np.isnan(after))
        own = placed[~np.isnan(before[placed])]
        for k, (event, row) in enumerate(zip(self.events, self.event_rows)):
            earlier = own[: np.searchsorted(own, row)]
            if (end := self._end_of_its_epoch(event, row)) is not None:
                self.events[k] = replace(event, step=int(after[end]))
            elif len(earlier) and event.step == before[earlier[-1]]:
                self.events[k] = replace(event, step=int(after[placed[np.searchsorted(placed, row) - 1]]))
        if len(own):
            self.last_step = int(after[placed[-1]])

    def _end_of_its_epoch(self, event: Event, row: int) -> int | None:
        """Return the last row of the epoch at whose end a checkpoint was saved, as Keras says before it prints the end itself."""
        named = _OF_EPOCH.match(event.message) if event.kind == "checkpoint_saved" else None
        name = EPOCH if EPOCH in self.columns else STEP if self.config.get("step_kind") == "epoch" else ""
        if named is None or not name:
            return None
        ends = np.flatnonzero(self.cells(name) == float(named[1]))
        return int(ends[-1]) if len(ends) and ends[-1] >= row else None

    def taken(self, first: int, last: int) -> dict[str, Column]:
        """Return the columns of the rows first <= row < last, counted from `first`."""
        columns = {}
        whole = np.arange(last - first)
        for name, (rows, values) in self.columns.items():
            where = np.asarray(rows)
            start, stop = np.searchsorted(where, [first, last])
            if stop > start:
                within = whole if stop - start == len(whole) else where[start:stop].astype(np.int64) - first
                columns[name] = Column(within, np.asarray(values, np.float64)[start:stop])
        return columns

    def events_between(self, first: int, last: int) -> tuple[Event, ...]:
        """Return the events of the run of the rows first <= row < last; what ended it is none where records followed."""
        final = last == len(self.lines)
        mine = [
            (event, row)
            for event, row in zip(self.events, self.event_rows)
            if (first < row or first == 0) and (row <= last or final)
        ]
        kept = [(event, row) for event, row in mine if event.kind not in ("end", "smallest_scale") or row >= last]
        if self.config.get("step_kind") not in ("record", "epoch"):
            return tuple(event for event, _ in kept)
        steps = self.cells(STEP)[first:last]
        return tuple(_where_printed(event, row - first, steps) for event, row in kept)

    def keep(self, chosen: np.ndarray) -> None:
        """Keep the rows selected by a boolean mask; what was seen between rows stays between those that are left."""
        chosen = np.asarray(chosen, bool)
        position = np.cumsum(chosen) - 1
        kept_before = np.concatenate([[0], position + 1])
        self.event_rows = kept_before[np.asarray(self.event_rows, np.int64)].tolist()
        self.said = [(int(kept_before[row]), values) for row, values in self.said]
        for columns in (self.columns, self.beside):
            for name, (rows, values) in columns.items():
                at = np.asarray(rows, np.int64)
                kept = chosen[at]
                columns[name] = position[at[kept]], np.asarray(values, np.float64)[kept]
        self.lines = np.asarray(self.lines)[chosen]


class Scanner(Protocol):
    """Reads pieces one after the other into a table."""

    def feed(self, line: int, piece: str) -> bool:
        """Read one piece; return whether it was part of a record."""

    def finish(self) -> None:
        """Do what can only be done when all pieces were seen."""
