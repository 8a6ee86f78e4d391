"""Piece after piece of a printed log -> a table: what scanners are, the one for single shapes, and the loop that feeds them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from lmdiag.readers.numbers import number
from lmdiag.readers.text.events import TRACEBACK, EventWatcher
from lmdiag.readers.text.facts import find_facts
from lmdiag.readers.text.patterns import lazy
from lmdiag.readers.text.pieces import LONGEST_PIECE, payload
from lmdiag.readers.text.table import Table

TEXT, LOST, RECORD = range(3)
HEADER_RECORDS = 50  # facts of the header stand before this many records
_CODE_BEGINS = lazy(r"import \w+|from \w[\w.]* import ")
_RULE = lazy(r"[=*-]{20,}\s*$")
Values = Mapping[str, float]


class Scanner(Protocol):
    """Reads pieces one after the other into a table."""

    def feed(self, line: int, piece: str) -> bool:
        """Read one piece; return whether it was part of a record."""

    def finish(self) -> None:
        """Do what can only be done when all pieces were seen."""


@dataclass(frozen=True)
class Shape:
    """One kind of record line: `hint` is a substring that every such line holds, `pattern` is searched in its payload.

    The named groups become columns, unless `parse` says what to make of the match; `looks` recognises lines that mean
    to be such a record, so that broken ones are counted.
    """

    hint: str
    pattern: re.Pattern[str]
    parse: Callable[[re.Match[str], Table], Values | None] | None = None
    looks: re.Pattern[str] | None = None


class ShapeScanner:
    """Reads the lines that fit one of the shapes of a format."""

    def __init__(self, shapes: tuple[Shape, ...], table: Table) -> None:
        self._shapes = shapes
        self._table = table

    def feed(self, line: int, piece: str) -> bool:
        """Read one piece; return whether it was a record."""
        shapes = [shape for shape in self._shapes if shape.hint in piece]
        if not shapes:
            return False
        text, rank = payload(piece)
        for shape in shapes:
            match = shape.pattern.search(text)
            if match:
                return self._take(shape, match, line, rank)
        for shape in shapes:
            if shape.looks and shape.looks.search(text):
                self._table.skip(line, f"looks like a record and is none: {text[:80]}")
                return True
        return False

    def _take(self, shape: Shape, match: re.Match[str], line: int, rank: int | None) -> bool:
        if shape.parse is None:
            values: Values | None = {k: number(v) for k, v in match.groupdict().items() if v is not None}
        else:
            values = shape.parse(match, self._table)
        if values is None:
            return False
        values = dict(values)
        total = values.pop("total", 0)
        self._table.add(line, values, rank, total)
        return True

    def finish(self) -> None:
        """Nothing is left to do."""


def shaped(*shapes: Shape) -> Callable[[Table, str], Scanner]:
    """Return what makes a scanner of these shapes."""
    return lambda table, text: ShapeScanner(shapes, table)


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
