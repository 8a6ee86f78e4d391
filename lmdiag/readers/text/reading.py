"""Blocks of a printed log -> a table, whether the whole log is there or it still grows.

Lines of which a plan is known are read column by column by polars where a block is large; all others one by one.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from lmdiag.patterns import lazy
from lmdiag.readers.rawlog import RawLog
from lmdiag.readers.text.decimal_commas import decimal_names, notes, with_points
from lmdiag.readers.text.events import TRACEBACK, EventWatcher, find_facts
from lmdiag.readers.text.line_format import LineFormat, LineScanner, Said
from lmdiag.readers.text.pieces import LONGEST_PIECE, is_coloured_diff, pieces, without_colours
from lmdiag.readers.text.plans import Plan

if TYPE_CHECKING:
    import polars

TEXT, LOST, RECORD = range(3)
HEADER_RECORDS = 50  # facts of the header stand before this many records
LARGE = 3 << 20  # characters from which on polars is worth its import
LEARNT_FROM = 1 << 15  # characters that are read one by one before
COMPARED_LINES = 20
BLANK, OTHER = -2, -1
_CODE_BEGINS = lazy(r"import \w+|from \w[\w.]* import ")
_RULE = lazy(r"[=*-]{20,}\s*$")


class TextReading:
    """A printed log that lines are added to; what is done at its end can be done to a copy."""

    def __init__(self, line_format: LineFormat, name: str, start: str) -> None:
        self._line_format, self._name = line_format, name
        self.table = line_format.table()
        plain = without_colours(start)
        self._scanner = line_format.scanner(self.table, plain)
        self._commas = decimal_names(plain)
        self.table.notes += notes(self._commas)
        if is_coloured_diff(start):
            self.table.notes.append("the log is a coloured word diff of two logs; the new values were read")
        self._events = EventWatcher(self.table)
        self._chatter = 0
        self._next_line = 1
        self._in_code = False
        self._counted, self._kind = -1, TEXT  # a line is what the most telling of its pieces is

    def feed(self, lines: str) -> None:
        """Read further whole lines."""
        text = without_colours(lines)
        self.table.tally.count_lines(lines)
        if self._commas:
            text = with_points(text, self._commas)
        if len(text) >= LARGE and isinstance(self._scanner, LineScanner) and "\r" not in text and "\b" not in text:
            self._feed_large(self._scanner, text)
        else:
            self._feed_pieces(pieces(text, self._next_line, self.table.tally))
        self._next_line += lines.count("\n")

    def logs(self) -> list[RawLog]:
        """Return what was read so far, as `read` returns it."""
        return self._copy().finished()

    def _copy(self) -> TextReading:
        table = self.table.copied()
        return deepcopy(self, {id(self.table): table, id(self._line_format): self._line_format})

    def finished(self) -> list[RawLog]:
        """Return the runs of a log that was read to its end."""
        self._scanner.finish()
        self._events.finish()
        return self._line_format.finished(self._name, self.table, self._chatter)

    def _feed_pieces(self, todo: Iterable[tuple[int, str]]) -> None:
        table, tally, feed = self.table, self.table.tally, self._scanner.feed
        for line, piece in todo:
            rows, skipped = len(table.lines), table.n_skipped
            taken = feed(line, piece)
            if len(table.lines) > rows:
                kind = RECORD
            else:
                kind = LOST if table.n_skipped > skipped else RECORD if taken else TEXT
            if line != self._counted:
                tally.count(kind, 1)
                self._counted, self._kind = line, kind
            elif kind > self._kind:
                tally.count(self._kind, -1)
                tally.count(kind, 1)
                self._kind = kind
            if len(piece) >= LONGEST_PIECE:
                tally.cut += 1
            if not taken:
                self._hear(piece)
            else:
                self._in_code = False
                # Results and bars may say more, and a crash begins where a bar happens to stand.
                if (len(table.lines) == rows and not _only_a_bar(piece)) or TRACEBACK in piece:
                    self._events.see(piece)

    def _hear(self, piece: str) -> None:
        """Look at a piece that is no record for facts and events."""
        self._chatter += 1
        if _CODE_BEGINS.match(piece):
            self._in_code = True
        elif self._in_code and _RULE.match(piece):
            self._in_code = False
        if self._in_code:
            return  # programs print their own source; what it would do is not what happened
        self._events.see(piece)
        if len(self.table.lines) < HEADER_RECORDS:
            find_facts(piece, self.table.config)

    def _feed_large(self, scanner: LineScanner, text: str) -> None:
        """Read the lines of which a plan is known column by column, and all between them one by one."""
        import polars as pl

        first = text.rfind("\n", 0, LEARNT_FROM) + 1
        self._feed_pieces(pieces(text[:first], self._next_line, self.table.tally))
        number = self._next_line + text.count("\n", 0, first)
        # Cutting lines as a table of one column is several times faster than splitting a string; blank lines stay.
        lines = pl.read_csv(
            text[first:].encode(), has_header=False, separator="\x01", quote_char=None, schema={"line": pl.String}
        )["line"]
        kinds = np.full(len(lines), OTHER)
        cut: list[tuple[np.ndarray, dict[str, np.ndarray]]] = []
        for plan in [plan for plan in scanner.plans.plans if _is_plain(plan)]:
            left = np.flatnonzero(kinds == OTHER)
            rows, columns = _cut(lines.gather(left), plan)
            if len(rows) and _agree(lines.gather(left[rows]), columns, plan, scanner):
                where = np.full(len(lines), 0)
                kinds[left[rows]] = len(cut)
                where[left[rows]] = np.arange(len(rows))
                cut.append((where, columns))
        rest = np.flatnonzero(kinds == OTHER)
        others = lines.gather(rest).to_list()
        blank = np.array([not line or line.isspace() for line in others], bool)
        kinds[rest[blank]] = BLANK
        self.table.tally.blank += int(blank.sum())
        todo = iter([(int(at) + number, line[:LONGEST_PIECE]) for at, line, no in zip(rest, others, blank) if not no])
        starts = [0, *(np.flatnonzero(np.diff(kinds)) + 1).tolist(), len(kinds)] if len(kinds) else []
        for start, stop in zip(starts, starts[1:]):
            kind = int(kinds[start])
            if kind == OTHER:
                self._feed_pieces(islice(todo, stop - start))
            elif kind != BLANK:
                where, columns = cut[kind]
                part = slice(int(where[start]), int(where[start]) + stop - start)
                self.table.extend(
                    np.arange(start, stop) + number, {name: values[part] for name, values in columns.items()}
                )
                self.table.tally.count(RECORD, stop - start)


def _only_a_bar(piece: str) -> bool:
    return "%|" in piece[:8] and piece.rstrip().endswith("]")


def _is_plain(plan: Plan) -> bool:
    said = plan.about
    return not plan.unchecked and isinstance(said, Said) and not said.event and not said.lost


def _cut(lines: polars.Series, plan: Plan) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return which lines a plan fits, and the values of its columns in those lines."""
    import polars as pl

    try:
        words = lines.str.extract_groups(rf"^{plan.pattern}\s*$").struct.unnest()
    except pl.exceptions.PolarsError:  # an expression that only Python knows
        return np.array([], int), {}
    fits = words.to_series(0).is_not_null()
    words = words.filter(fits)
    columns = {}
    for name, word, factor in zip(plan.names, words, plan.factors or (1.0,) * len(plan.names)):
        if plan.thousands:
            word = word.str.replace_all(",", "", literal=True)
        columns[name] = word.cast(pl.Float64).to_numpy() * factor
    rows = np.flatnonzero(fits.to_numpy())
    return rows, columns | {name: np.full(len(rows), value) for name, value in plan.constants.items()}


def _agree(lines: polars.Series, columns: dict[str, np.ndarray], plan: Plan, scanner: LineScanner) -> bool:
    """Tell whether the reader of lines reads the same values from a sample of the lines that were cut."""
    for at in np.unique(np.linspace(0, len(lines) - 1, COMPARED_LINES).astype(int)).tolist():
        records = scanner.plans.reader(lines[at])
        if len(records) != 1 or records[0][1] != plan.about or records[0][0].keys() != columns.keys():
            return False
        if any(value != columns[name][at] and value == value for name, value in records[0][0].items()):
            return False
    return True


def read_blocks(line_format: LineFormat, name: str, blocks: Iterable[str]) -> list[RawLog]:
    """Return the runs of a log, block after block; raise `UnreadableLog` where it holds no record of the format."""
    reading = None
    for block in blocks:
        reading = reading or TextReading(line_format, name, block)
        reading.feed(block)
    return (reading or TextReading(line_format, name, "")).finished()
