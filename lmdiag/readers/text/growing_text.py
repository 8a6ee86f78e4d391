"""A printed log that grows."""

from __future__ import annotations

from copy import deepcopy

from lmdiag.readers.rawlog import RawLog
from lmdiag.readers.text.decimal_commas import decimal_names, notes, with_points
from lmdiag.readers.text.events import EventWatcher
from lmdiag.readers.text.line_format import LineFormat
from lmdiag.readers.text.pieces import pieces, without_colours
from lmdiag.readers.text.scanner import read_one_by_one


class GrowingText:
    """A printed log that lines are added to; what is done at its end is done to a copy."""

    def __init__(self, line_format: LineFormat, name: str, start: str) -> None:
        self._line_format, self._name = line_format, name
        self._table = line_format.table()
        self._scanner = line_format.scanner(self._table, without_colours(start))
        self._commas = decimal_names(without_colours(start))
        self._table.notes += notes(self._commas)
        self._events = EventWatcher(None, self._table)
        self._chatter = 0
        self._next_line = 1

    def feed(self, lines: str) -> None:
        """Read further whole lines."""
        text = without_colours(lines)
        self._table.tally.count_lines(lines)
        todo = pieces(with_points(text, self._commas) if self._commas else text, self._next_line, self._table.tally)
        self._chatter += read_one_by_one(todo, self._scanner, self._table, self._events)
        self._next_line += lines.count("\n")

    def logs(self) -> list[RawLog]:
        """Return what was read so far, as `read` returns it."""
        table = self._table.copied()
        scanner, events = deepcopy((self._scanner, self._events), {id(self._table): table})
        scanner.finish()
        events.finish()
        return self._line_format.finished(self._name, table, self._chatter)
