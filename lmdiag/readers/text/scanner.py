"""Piece after piece of a printed log -> a table: what scanners are, the one for single shapes, and the loop that feeds them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from lmdiag.readers.numbers import number
from lmdiag.readers.text.events import TRACEBACK, EventWatcher
from lmdiag.readers.text.facts import find_facts
from lmdiag.readers.text.patterns import lazy
from lmdiag.readers.text.pieces import LONGEST_PIECE, payload
from lmdiag.readers.text.plans import Plans, Reader, Record
from lmdiag.readers.text.table import STEP, Table
from lmdiag.run import Event

TEXT, LOST, RECORD = range(3)
HEADER_RECORDS = 50  # facts of the header stand before this many records
TOTAL, RANK = " total", " rank"  # numbers of a record beside its columns: the announced last step, the process that printed it
_CODE_BEGINS = lazy(r"import \w+|from \w[\w.]* import ")
_RULE = lazy(r"[=*-]{20,}\s*$")


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
            match = shape.pattern.search(text)
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


def read_one_by_one(
    todo: Iterable[tuple[int, str]],
    scanner: Scanner,
    table: Table,
    events: EventWatcher,
    before: Callable[[int, Table, int], None] | None = None,
) -> int:
    """Feed pieces to a scanner; return how many were no records. `before` is told the line, the table and the last record's line."""
    chatter, last_line, in_code = 0, 0, False
    kinds = {TEXT: 0, LOST: 0, RECORD: 0}
    counted, kind = -1, TEXT  # a line is what the most telling of its pieces is
    for line, piece in todo:
        if before:
            before(line, table, last_line)
        rows, skipped = len(table.lines), table.n_skipped
        taken = scanner.feed(line, piece[:LONGEST_PIECE])
        if len(table.lines) > rows:
            found = RECORD
        else:
            found = LOST if table.n_skipped > skipped else RECORD if taken else TEXT
        if len(piece) >= LONGEST_PIECE:
            table.tally.cut += 1
        if line != counted:
            counted, kind = line, found
            kinds[kind] += 1
        elif found > kind:
            kinds[kind] -= 1
            kind = found
            kinds[kind] += 1
        if taken:
            in_code, last_line = False, line
            if TRACEBACK in piece:
                events.see(piece)  # a crash begins where the progress bar happens to stand
            continue
        chatter += 1
        if _CODE_BEGINS.match(piece):
            in_code = True
        elif in_code and _RULE.match(piece):
            in_code = False
        if in_code:
            continue  # programs print their own source; what it would do is not what happened
        events.see(piece)
        if table.rows_seen < HEADER_RECORDS:
            find_facts(piece, table.config)
    tally = table.tally
    tally.text += kinds[TEXT]
    tally.lost += kinds[LOST]
    tally.with_records += kinds[RECORD]
    return chatter
