"""Piece after piece of a printed log -> a table: what scanners are, and the one for lines that are rows of data."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from lmdiag.readers.numbers import number
from lmdiag.readers.text.pieces import payload
from lmdiag.readers.text.plans import Plans, Reader, Record
from lmdiag.readers.text.table import RANK, STEP, TOTAL, Table
from lmdiag.run import Event


class Scanner(Protocol):
    """Reads pieces one after the other into a table."""

    def feed(self, line: int, piece: str) -> bool:
        """Read one piece; return whether it was part of a record."""

    def finish(self) -> None:
        """Do what can only be done when all pieces were seen."""


@dataclass(frozen=True)
class Said:
    """What a record says beside its numbers."""

    units: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)  # column: metric
    event: str = ""  # the kind of event that the numbers belong to, where they are no row
    lost: str = ""  # what of the line could not be read, and why


NOTHING = Said()


@dataclass(frozen=True)
class Shape:
    """One kind of record line: `hint` is a substring that every such line holds, `pattern` is searched in its payload.

    The named groups are columns; of the group `rest`, `items` finds each `name` and `number`, with a letter `si` for
    thousands, millions, … where there is one. The group `under` is put before the names of the items, as is the prefix
    of the same name. `parse` takes the place of all this where a line needs more.
    """

    hint: str
    pattern: re.Pattern[str]
    items: re.Pattern[str] | None = None
    under: str = ""
    event: str = ""
    prefixed: bool = False  # the pattern looks at what stands before the payload as well
    looks: re.Pattern[str] | None = None  # lines that mean to be such a record, so that broken ones are counted
    parse: Callable[[re.Match[str], str], Record | None] | None = None

    def read(self, match: re.Match[str], text: str) -> Record | None:
        """Return the record of a text that the pattern fits; None where it holds no item."""
        if self.parse:
            return self.parse(match, text)
        groups = match.groupdict()
        rest, under = groups.pop("rest", None), groups.pop("under", None) or self.under
        values = {TOTAL if k == "total" else k: number(v) for k, v in groups.items() if v is not None}
        before = len(values)
        for item in self.items.finditer(rest) if self.items and rest else ():
            word = item["number"] + (item.groupdict().get("si") or "")
            values.setdefault(under + item["name"].strip(), number(word, suffixed=True))
        if self.items and len(values) == before and set(groups) <= {STEP, "total", "epoch"}:
            return None
        return values, Said(event=self.event) if self.event else NOTHING


def shape_reader(*shapes: Shape) -> Reader:
    """Return the reader of lines that fit one of the shapes."""

    def read(piece: str) -> list[Record]:
        likely = [shape for shape in shapes if shape.hint in piece]
        if not likely:
            return []
        text, rank = payload(piece)
        for shape in likely:
            match = shape.pattern.search(piece if shape.prefixed else text)
            if match:
                found = shape.read(match, text)
                if found and rank is not None:
                    found[0][RANK] = rank
                return [found] if found else []
        if any(shape.looks and shape.looks.search(text) for shape in likely):
            return [({}, Said(lost=f"looks like a record and is none: {text[:80]}"))]
        return []

    return read


class LineScanner:
    """Puts the records of a reader of lines into a table; `settle` does what is left when all lines were seen."""

    def __init__(
        self, table: Table, read: Reader, hints: tuple[str, ...] = (), settle: Callable[[Table], None] | None = None
    ) -> None:
        self.plans = Plans(read)
        self._table = table
        self._hints = hints
        self._settle = settle
        self._said = NOTHING

    def feed(self, line: int, piece: str) -> bool:
        """Read one piece; return whether it was a record."""
        for hint in self._hints:
            if hint in piece:
                break
        else:
            return False
        records = self.plans.read(piece)
        for values, said in records:
            if said is not self._said:
                self._said = said
                self._hear(line, piece, values, said)
            if values and not said.event:
                rank = values.pop(RANK, None) if RANK in values else None
                total = values.pop(TOTAL) if TOTAL in values else 0.0
                self._table.add(line, values, rank if rank is None else int(rank), total)
        return bool(records)

    def _hear(self, line: int, piece: str, values: dict[str, float], said: Said) -> None:
        table = self._table
        for name, unit in said.units.items():
            table.units.setdefault(name, unit)
        for name, metric in said.names.items():
            table.names.setdefault(name, metric)
        if said.lost:
            table.skip(line, said.lost)
        if said.event:
            table.happened(Event(said.event, table.last_step, payload(piece)[0][:300], dict(values)))
            self._said = NOTHING

    def finish(self) -> None:
        """Settle what the lines left open."""
        if self._settle:
            self._settle(self._table)


def shaped(*shapes: Shape, settle: Callable[[Table], None] | None = None) -> Callable[[Table, str], Scanner]:
    """Return what makes a scanner of these shapes."""
    hints = tuple(dict.fromkeys(shape.hint for shape in shapes))
    return lambda table, text: LineScanner(table, shape_reader(*shapes), hints, settle)
