"""The type of the flat records of a log: learnt from some of them, it decodes all of them to columns without a dictionary."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from operator import attrgetter
from typing import Any, Literal

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType, defstruct

from lmdiag.readers.json.taking import Usual, is_plain
from lmdiag.readers.tables.rows import LARGEST, Cells

MOST_NAMES = 2000  # a log of more is no table, and its type would cost more than it saves
MOST_PACKED = 1 << 24  # bytes: records of many names, of which each has a few, would take many times as many
ABSENT = -math.inf  # the number of a name that a record does not have: no JSON spells it

_Column = tuple[str, np.ndarray | list[Any], np.ndarray]  # a name, its values, and where one is given


class RecordType:
    """The `columns` of records so far: {name: whether it holds numbers only (and null), or words and truths, too}.

    `usual` is a column, and the word it holds in plain records; it is none of the columns.

    >>> kind = RecordType()
    >>> kind.learn([{"step": 1, "loss": 2.5}, {"step": 2, "loss": None}])
    True
    >>> table = kind.table([kind.decoder.decode(b'{"loss": 1.5, "step": 3}')])
    >>> [(name, values.tolist()) for name, _, values, _ in table.cells(0, 1, first_row=0)]
    [('step', [3.0]), ('loss', [1.5])]
    """

    def __init__(self, usual: Usual = ("", "")) -> None:
        self.usual = usual
        self.columns: dict[str, bool] = {}

    def learn(self, records: Iterable[Any]) -> bool:
        """Add the names of those of the records that are plain; return whether the type has grown."""
        before = dict(self.columns)
        for record in records:
            if isinstance(record, dict) and is_plain(record, self.usual):
                self._add({name: value for name, value in record.items() if name != self.usual[0]})
        return self.columns != before

    def _add(self, record: Mapping[str, Any]) -> None:
        new = [name for name in record if name not in self.columns]
        if len(record) + len(self.columns) > MOST_NAMES or not all(map(_can_be_named, new)):
            return
        for name, value in record.items():
            self.columns[name] = self.columns.get(name, True) and not isinstance(value, (str, bool))

    @property
    def decoder(self) -> msgspec.json.Decoder[Any]:
        """The decoder of a record, which raises `msgspec.DecodeError` for others."""
        return _decoder(tuple(self.columns.items()), self.usual)

    def made(self, record: Any) -> Any:
        """Return a decoded object as a record of the type, as which JSON with NaN cannot be decoded; None where it does not fit."""
        if not isinstance(record, dict) or not is_plain(record, self.usual):
            return None
        usual = {"usual": record.pop(self.usual[0])} if self.usual[0] in record else {}
        if not all(_fits(value, self.columns.get(name)) for name, value in record.items()):
            return None
        places = {name: f"f{k}" for k, name in enumerate(self.columns)}
        cells = {places[name]: float(value) if type(value) is int else value for name, value in record.items()}
        return self.decoder.type(**cells, **usual)

    def table_of(self, text: str) -> Table | None:
        """Return the columns of a list of records, as JSON spells it; None where one of them does not fit the type."""
        try:
            records = _decoder(tuple(self.columns.items()), self.usual, many=True).decode(text) if self.columns else []
        except (msgspec.DecodeError, UnicodeEncodeError):
            return None
        table = self.table(records)
        return None if not records or table.too_large.any() else table

    def table(self, records: Sequence[Any]) -> Table:
        """Return the columns of records that this type decoded."""
        return Table(records, self.columns, self.usual)


class Table:
    """The cells of records of a type, a column at a time."""

    def __init__(self, records: Sequence[Any], columns: Mapping[str, bool], usual: Usual) -> None:
        n = len(records)
        self.names = np.zeros(n, np.int64)  # how many each record has
        self.words = np.zeros(n, np.int64)  # how many of its values are words
        self.too_large = np.zeros(n, bool)  # whether it holds a number that might be infinite
        self.empty: set[str] = set()  # names that stand with null
        self._columns: list[_Column] = []
        if usual[0]:
            said = np.fromiter((record.usual is not UNSET for record in records), bool, n)
            self.names += said
            self.words += said
        values = _numbers(records, columns, usual)
        given = values != ABSENT
        self.names += given.sum(axis=0)
        self.too_large |= (given & (np.abs(values) >= LARGEST)).any(axis=0)
        found = zip(values, given, np.isnan(values).any(axis=1).tolist())
        for k, (name, numbers) in enumerate(columns.items()):
            get = attrgetter(f"f{k}")
            if numbers:
                self._add_numbers(name, *next(found), records, get)
            else:
                self._add_any(name, list(map(get, records)))

    def _add_numbers(
        self, name: str, values: np.ndarray, given: np.ndarray, nans: bool, records: Sequence[Any], get: attrgetter[Any]
    ) -> None:
        if nans:
            null = np.fromiter((get(record) is None for record in records), bool, len(records))
            given &= ~null
            self._note_null(name, null)
        self._columns.append((name, values, given))

    def _add_any(self, name: str, values: list[Any]) -> None:
        kinds = np.fromiter(map(_KINDS.__getitem__, map(type, values)), np.int8, len(values))
        self.names += kinds > 0
        self.words += kinds == _KINDS[str]
        numbers = [(k, values[k]) for k in np.flatnonzero(kinds == _KINDS[float]).tolist()]
        self.too_large[[k for k, value in numbers if abs(value) >= LARGEST]] = True
        self._note_null(name, kinds == _KINDS[type(None)])
        self._columns.append((name, values, kinds > _KINDS[type(None)]))

    def _note_null(self, name: str, null: np.ndarray) -> None:
        if null.any():
            self.empty.add(name)

    def cells(self, start: int, stop: int, first_row: int) -> list[Cells]:
        """Return the columns of some records, the first of which becomes this row, in the order in which their values are met."""
        known: dict[bytes, np.ndarray] = {}  # most columns have values in the same rows
        found: list[Cells] = []
        for name, values, given in self._columns:
            some, chosen = values[start:stop], given[start:stop]
            where = chosen.tobytes()
            if where not in known:
                known[where] = np.flatnonzero(chosen) + first_row
            rows = known[where]
            if len(rows) < len(some):
                some = (
                    some[chosen] if isinstance(some, np.ndarray) else [some[k] for k in np.flatnonzero(chosen).tolist()]
                )
            found.append((name, rows, some, {float} if isinstance(some, np.ndarray) else set(map(type, some))))
        return sorted((column for column in found if len(column[1])), key=lambda column: int(column[1][0]))


def _numbers(records: Sequence[Any], columns: Mapping[str, bool], usual: Usual) -> np.ndarray:
    """Return the numbers in those fields of records that hold numbers only: float64[fields, records].

    As MessagePack all records that hold nothing else, not even null, have the same width: there they are picked by their place.
    """
    n, alone = len(records), bool(columns) and all(columns.values())
    places, width = _packed_places(tuple(columns), usual)
    packed = msgspec.msgpack.encode(records) if alone and n * width <= MOST_PACKED else b""
    first = len(packed) - n * width
    if n and first > 0:
        return np.array([np.ndarray(n, ">f8", packed, first + place, width) for place in places], np.float64)
    fields = [attrgetter(f"f{k}") for k, numbers in enumerate(columns.values()) if numbers]
    table = np.fromiter(chain.from_iterable(zip(*(map(get, records) for get in fields))), np.float64, n * len(fields))
    return np.ascontiguousarray(table.reshape(n, len(fields)).T)


@lru_cache(maxsize=64)
def _packed_places(names: tuple[str, ...], usual: Usual) -> tuple[list[int], int]:
    """Return where in a packed record the number of each name begins, and how many bytes the record takes."""
    pairs = [{name: 0.0} for name in names] + [dict([usual])] * bool(usual[0])
    ends = np.cumsum([len(msgspec.msgpack.encode(pair)) - 1 for pair in pairs]) + (1 if len(pairs) < 16 else 3)
    return (ends[: len(names)] - 8).tolist(), int(ends[-1]) if pairs else 0


_KINDS: dict[type, int] = {UnsetType: 0, type(None): 1, bool: 2, float: 3, str: 4}


@lru_cache(maxsize=64)
def _decoder(columns: tuple[tuple[str, bool], ...], usual: Usual, many: bool = False) -> msgspec.json.Decoder[Any]:
    """Return the decoder of a flat record of these names, all of which may be absent, or of a list of `many`."""
    number, anything = (float | None, ABSENT), (float | str | bool | UnsetType | None, UNSET)
    fields: list[tuple[str, Any, Any]] = [
        (f"f{k}", *(number if plain else anything)) for k, (_, plain) in enumerate(columns)
    ]
    spelled = {f"f{k}": name for k, (name, _) in enumerate(columns)}
    if usual[0]:
        fields.append(("usual", Literal[usual[1]] | UnsetType, UNSET))
        spelled["usual"] = usual[0]
    kind = defstruct("Record", fields, rename=spelled, forbid_unknown_fields=True, eq=False, gc=False)
    return msgspec.json.Decoder(list[kind] if many else kind)  # type: ignore[valid-type]


def counted(first: int, n: int) -> array[int]:
    """Return n whole numbers, the first of which is this.

    >>> counted(3, 2)
    array('q', [3, 4])
    """
    return array("q", np.arange(first, first + n).tobytes())


def _can_be_named(name: str) -> bool:
    return name.isprintable() and not {'"', "\\"} & set(name)


def _fits(value: Any, numbers: bool | None) -> bool:
    """Tell whether a value fits a column of numbers only, or of anything; None is a column that there is not."""
    if isinstance(value, (str, bool)):
        return numbers is False
    small = (type(value) is int and -LARGEST < value < LARGEST) or (isinstance(value, float) and not math.isinf(value))
    return numbers is not None and (value is None or small)
