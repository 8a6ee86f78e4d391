"""Records in, columns out: what every reader of records collects its rows with."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import compress
from operator import itemgetter
from types import NoneType
from typing import Any

import numpy as np
from msgspec import Struct, field

from lmdiag.patterns import lazy
from lmdiag.readers.numbers import cell_number
from lmdiag.readers.rawlog import Column, RawLog
from lmdiag.readers.tables.commas import EITHER, settle_commas
from lmdiag.readers.tables.growing_column import GrowingColumn, KnownRows
from lmdiag.readers.tables.tally import Tally
from lmdiag.run import Skipped

MISSING = frozenset({"", "-", "--", "na", "n/a", "#n/a", "none", "null", "undefined", "no log", "?", "<na>"})
STEP_OF_TOTAL = lazy(r"\s*(\d+)\s*/\s*(\d+)\s*")
LISTED_SKIPS = 1000
LARGEST = 10**300  # a larger whole number is infinite
NUMBERS = frozenset({int, float})
DEEPEST = 20  # objects within objects; nobody nests metrics so deep


def flat(record: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested objects, joining names with `/`.

    >>> flat({"step": 1, "optim": {"lr": 0.1}})
    {'step': 1, 'optim/lr': 0.1}
    """
    cells: dict[str, Any] = {}
    for key, value in record.items():
        if not isinstance(value, dict):
            cells[f"{prefix}{key}"] = value
        elif prefix.count("/") < DEEPEST:
            cells |= flat(value, f"{prefix}{key}/")
        elif value:
            cells[f"{prefix}{key}"] = [value, value]  # as a list of several values: counted, not read
    return cells


class Rows(Struct):
    """Rows of named cells, gathered one record at a time into columns of numbers and of words.

    A cell that is neither a number nor missing goes to the words of its column; `columns` counts it as skipped where
    the column holds numbers.

    >>> rows = Rows()
    >>> rows.add({"step": 1, "loss": "2.5", "kind": "F"}, line=1); rows.add({"step": 2, "loss": None}, line=2)
    >>> {name: column.values.tolist() for name, column in rows.columns.items()}
    {'step': [1.0, 2.0], 'loss': [2.5]}
    """

    lines: array[int] = field(default_factory=lambda: array("q"))
    numbers: dict[str, GrowingColumn] = field(default_factory=dict)
    words: dict[str, tuple[list[int], list[str]]] = field(default_factory=dict)
    lists: Counter[str] = field(default_factory=Counter)
    skips: list[Skipped] = field(default_factory=list)
    more_skips: Counter[tuple[str, str]] = field(default_factory=Counter)
    empty: set[str] = field(default_factory=set)  # names that were met without a value
    tally: Tally = field(default_factory=Tally)
    commas: dict[str, list[int]] = field(default_factory=dict)  # places among the numbers of a column spelled 4,941
    planned: int | None = None  # steps, where a record tells "step 3/100"

    def __len__(self) -> int:
        return len(self.lines)

    def add(self, record: Mapping[str, Any], line: int = 0) -> None:
        """Append one record, whose values are numbers, words, None, lists or nested objects."""
        row = len(self.lines)
        self.lines.append(line)
        if dict in map(type, record.values()):
            record = flat(record)
        for name, value in record.items():
            self._add_cell(row, name, value)

    def extend(self, records: Sequence[Mapping[str, Any]], lines: Iterable[int]) -> None:
        """Append records, as `add` does one by one, but a column at a time: most records of a log have the same names.

        >>> rows = Rows()
        >>> rows.extend([{"step": 1, "loss": 2.5}, {"step": 2, "loss": None}], [1, 2])
        >>> rows.columns["loss"].values.tolist(), len(rows)
        ([2.5], 2)
        """
        columns = _columns(records, len(self.lines))
        if any(dict in kinds for *_, kinds in columns):
            columns = _columns([flat(record) for record in records], len(self.lines))
        self.extend_columns(columns, lines)

    def extend_columns(self, columns: Iterable[Cells], lines: Iterable[int]) -> None:
        """Append the rows that stand on these lines by their columns, in the order in which values of these are met."""
        self.lines.extend(lines)
        for name, rows, values, kinds in columns:
            if NoneType in kinds and len(kinds) > 1:
                self.empty.add(name)
                given = [value is not None for value in values]
                rows, values = rows[given], [*compress(values, given)]
                kinds = kinds - {NoneType}
            if kinds <= NUMBERS and (int not in kinds or _are_small(values)):
                self._numbers_of(name).extend(rows, np.asarray(values, np.float64))
            else:
                for row, value in zip(rows.tolist(), values):
                    self._add_cell(row, name, value)

    def _add_cell(self, row: int, name: str, value: Any) -> None:
        kind = type(value)
        if kind is float or kind is int:
            if kind is int and not -LARGEST < value < LARGEST:
                value = float("inf") if value > 0 else float("-inf")
            self._numbers_of(name).add(row, value)
        elif value is None:
            self.empty.add(name)
        else:
            self._add_other(row, name, value)

    def _add_other(self, row: int, name: str, value: Any) -> None:
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if isinstance(value, list):
            self.lists[name] += 1
            return
        if isinstance(value, str):
            value = self._spelled(row, name, value)
        if isinstance(value, (int, float)):
            self._numbers_of(name).add(row, float(value))

    def _numbers_of(self, name: str) -> GrowingColumn:
        column = self.numbers.get(name)
        if column is None:
            column = self.numbers[name] = GrowingColumn()
        return column

    def _spelled(self, row: int, name: str, word: str) -> float | None:
        value = _number(word)
        if value is None and "/" in word:
            fraction = STEP_OF_TOTAL.fullmatch(word)
            if fraction:
                value = float(fraction[1])
                self.plan(name, (word,))
        if value is None:
            if word.strip().lower() in MISSING:
                self.empty.add(name)
                return None
            column = self.words.setdefault(name, ([], []))
            column[0].append(row)
            column[1].append(word)
        elif "," in word and EITHER.fullmatch(word):
            self.commas.setdefault(name, []).append(len(self.numbers.get(name, ())))
        return value

    def plan(self, name: str, words: Sequence[str]) -> None:
        """Take what the last "3/100" of a column of steps says of the whole run."""
        if "step" in name or "iter" in name:
            found = filter(None, map(STEP_OF_TOTAL.fullmatch, reversed(words)))
            self.planned = next((int(last[2]) for last in found if int(last[2])), self.planned)

    def settle_commas(self) -> tuple[str, ...]:
        """Read the columns that write decimals with a comma, and return what was decided."""
        return tuple(settle_commas(self.numbers, self.words, self.commas))

    def skip(self, line: int, reason: str, unit: str = "record") -> None:
        """Count a piece of the source that was not read: a record, or a value of one."""
        if len(self.skips) < LISTED_SKIPS:
            self.skips.append(Skipped(line, reason, unit=unit))
        else:
            self.more_skips[reason, unit] += 1

    @property
    def columns(self) -> dict[str, Column]:
        """The columns that hold numbers; those with a number in the same rows share one array of rows."""
        joined: KnownRows = {}
        shared: dict[tuple[int, int], np.ndarray] = {}
        columns = {}
        for name, numbers in self.numbers.items():
            rows, values = numbers.joined(joined)
            known = shared.get((len(rows), int(rows[0])))
            if known is None or not np.array_equal(known, rows):
                known = shared[len(rows), int(rows[0])] = rows
            columns[name] = Column(known, values)
        return columns

    @property
    def texts(self) -> dict[str, tuple[np.ndarray, list[str]]]:
        """The columns of words that hold no numbers, or more words than numbers."""
        return {
            name: (np.asarray(rows, np.int64), words)
            for name, (rows, words) in self.words.items()
            if len(words) > len(self.numbers.get(name, ()))
        }

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """Everything that was not read: bad pieces, words among numbers, lists."""
        found = list(self.skips)
        found += [Skipped(0, reason, count, unit) for (reason, unit), count in self.more_skips.items()]
        found += [
            Skipped(0, f'a list of several values in "{name}"', count, "value") for name, count in self.lists.items()
        ]
        for name, (rows, words) in self.words.items():
            if 0 < len(words) <= len(self.numbers.get(name, ())):
                found += [
                    Skipped(int(self.lines[r]), f'not a number in "{name}": {w[:40]!r}', unit="value")
                    for r, w in zip(rows[:LISTED_SKIPS], words)
                ]
                if len(words) > LISTED_SKIPS:
                    found.append(Skipped(0, f'not a number in "{name}"', len(words) - LISTED_SKIPS, "value"))
        return tuple(found)

    @property
    def unused(self) -> dict[str, str]:
        """The names that hold nothing that a column could hold, and why; "" for those that never hold a value."""
        lists = dict.fromkeys(self.lists, "it holds lists of several values")
        nothing = {**dict.fromkeys(sorted(self.empty), ""), **lists}
        return {name: why for name, why in nothing.items() if name not in self.numbers and name not in self.words}

    def log(self, format: str, name: str, **facts: Any) -> RawLog:
        """Return the rows as a RawLog; `facts` are its further fields."""
        facts["notes"] = (*facts.get("notes", ()), *self.settle_commas())
        facts["skipped"] = (*facts.get("skipped", ()), *self.skipped)
        if self.planned:
            facts["config"] = {"max_steps": self.planned, **facts.get("config", {})}
        lines = np.array(self.lines, np.int64)
        return RawLog(
            format,
            name,
            self.columns,
            len(self),
            texts=self.texts,
            lines=lines if lines.any() else None,
            unused=self.unused,
            tally=self.tally if self.tally.lines else None,
            **facts,
        )


_number = lru_cache(maxsize=1 << 10)(cell_number)  # a column of words repeats a few


Cells = tuple[str, np.ndarray, Sequence[Any] | np.ndarray, set[type]]  # a name, rows, values, and the types of these


def _columns(records: Sequence[Mapping[str, Any]], first_row: int) -> list[Cells]:
    """Return the cells of records, the first of which becomes this row, in the order in which values of the names are met."""
    cells = _of_same_names(records, first_row) or _of_several(records, first_row)
    columns = []
    for name, (rows, values) in cells.items():
        kinds = set(map(type, values))
        given = 0
        if NoneType in kinds and len(kinds) > 1:
            given = next(k for k, value in enumerate(values) if value is not None)
        columns.append((int(rows[given]), (name, rows, values, kinds)))
    columns.sort(key=itemgetter(0))
    return [column for _, column in columns]


def _of_same_names(records: Sequence[Mapping[str, Any]], first_row: int) -> dict[str, tuple[np.ndarray, Sequence[Any]]]:
    """Return the columns of records that all have the same names; none where they differ."""
    names = tuple(records[0]) if records else ()
    if not names or sum(map(len, records)) != len(names) * len(records):
        return {}
    rows = np.arange(first_row, first_row + len(records))
    try:
        if len(names) == 1:
            return {names[0]: (rows, list(map(itemgetter(names[0]), records)))}
        return {name: (rows, values) for name, values in zip(names, zip(*map(itemgetter(*names), records)))}
    except KeyError:
        return {}


def _of_several(records: Sequence[Mapping[str, Any]], first_row: int) -> dict[str, tuple[np.ndarray, Sequence[Any]]]:
    """Return the columns of records with different names."""
    alike: dict[tuple[str, ...], tuple[list[int], list[Mapping[str, Any]]]] = {}
    for row, record in enumerate(records, first_row):
        group = alike.get(names := tuple(record))
        if group is None:
            group = alike[names] = ([], [])
        group[0].append(row)
        group[1].append(record)
    columns: dict[str, tuple[np.ndarray, Sequence[Any]]] = {}
    several = set()
    for names, (places, members) in alike.items():
        rows = np.array(places, np.int64)
        for name, values in zip(names, zip(*[record.values() for record in members])):
            if name in columns:
                several.add(name)
                columns[name] = np.concatenate([columns[name][0], rows]), [*columns[name][1], *values]
            else:
                columns[name] = rows, values
    for name in several:
        unordered, cells = columns[name]
        order = np.argsort(unordered)
        columns[name] = unordered[order], [cells[k] for k in order.tolist()]
    return columns


def _are_small(values: Iterable[Any]) -> bool:
    whole = [value for value in values if type(value) is int]
    return min(whole) > -LARGEST and max(whole) < LARGEST
