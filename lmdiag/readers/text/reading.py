"""Blocks of a printed log -> a table, whether the whole log is there or it still grows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import deepcopy
from pathlib import PurePath
from typing import Any

import numpy as np
from msgspec.structs import replace

from lmdiag.patterns import lazy
from lmdiag.readers.messages import TRACEBACK, EventWatcher, find_facts
from lmdiag.readers.rawlog import RawLog
from lmdiag.readers.tables.table import Table
from lmdiag.readers.text.blocks import BlockScanner
from lmdiag.readers.text.decimal_commas import decimal_names, with_points
from lmdiag.readers.text.formats import GENERIC
from lmdiag.readers.text.line_format import LineFormat, LineScanner
from lmdiag.readers.text.named_numbers import FEWEST_RECORDS, PairScanner
from lmdiag.readers.text.pieces import LONGEST_PIECE, are_lines, is_coloured_diff, pieces, without_colours
from lmdiag.readers.text.plans import Plan

TEXT, LOST, RECORD = range(3)
Planned = LineScanner | PairScanner  # know plans that fit whole lines
MOST_STRETCHES = 3
HEADER_RECORDS = 50  # facts of the header stand before this many records
FEWEST_AT_ONCE, MOST_AT_ONCE = 4, 1 << 9  # lines
_CODE_BEGINS = lazy(r"import \w+|from \w[\w.]* import ")
_RULE = lazy(r"[=*-]{20,}\s*$")


class TextReading:
    """A printed log that lines are added to; what is done at its end can be done to a copy."""

    def __init__(self, line_format: LineFormat, name: str, start: str) -> None:
        self._line_format, self._name = line_format, name
        self.table = line_format.table()
        plain = without_colours(start)
        self._scanner = line_format.scanner(self.table, plain)
        self._printed = Table()  # lines with a loss that are none of the format
        self._prints = PairScanner(self._printed, plain)
        self._knows_no_others = isinstance(self._scanner, LineScanner | BlockScanner)
        self._commas = decimal_names(plain)
        self.table.notes += [
            f'"{name}" writes decimals with a comma: 2,5 was read as 2.5' for name in sorted(self._commas)
        ]
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
        if isinstance(self._scanner, Planned) and are_lines(text):
            self._feed_stretches(self._scanner, text.removesuffix("\n").split("\n"))
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
        others = self._others()
        logs = self._line_format.finished(self._name, self.table, self._chatter) + others
        if others:  # in their order
            logs.sort(key=lambda log: log.lines[0] if log.lines is not None else 0)
            logs = [replace(log, name=f"{PurePath(self._name).name}#{k}") for k, log in enumerate(logs, 1)]
        return logs

    def _others(self) -> list[RawLog]:
        """Return the run of the lines with a loss that the format does not know, where they are a stretch or a few of the log."""
        others, n = np.asarray(self._printed.lines), len(self._printed.lines)
        if n < FEWEST_RECORDS or not len(self.table.lines):
            return []
        stretches = 1 + np.count_nonzero(np.diff(np.searchsorted(self.table.lines, others)))
        if n < FEWEST_RECORDS * stretches or stretches > MOST_STRETCHES:
            known = f"that {self._line_format.title} does not print"
            self.table.notes.append(f"{n:,} lines with a loss {known} were not used, the first is line {others[0]:,}")
            return []
        self._printed.tally = tally = self.table.tally
        tally.count(TEXT, -n)
        tally.count(RECORD, n)
        self._prints.finish()
        return GENERIC.finished(self._name, self._printed, 0) if len(self._printed.lines) else []

    def _feed_pieces(self, todo: Iterable[tuple[int, str]]) -> None:
        table, tally, feed = self.table, self.table.tally, self._scanner.feed
        for line, piece in todo:
            rows, skipped = len(table.lines), table.n_skipped
            taken = feed(line, piece)
            lost = len(table.lines) == rows and table.n_skipped > skipped
            kind = LOST if lost else RECORD if taken or len(table.lines) > rows else TEXT
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
                if self._knows_no_others and "oss" in piece and not self._in_code:
                    self._prints.feed(line, piece)
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

    def _feed_stretches(self, scanner: Planned, lines: list[str]) -> None:
        """Read the stretches of lines that a plan fits column by column, and the lines between them one by one."""
        number = self._next_line
        for plan, part in _stretches(lines, scanner):
            if plan and len(part) >= FEWEST_AT_ONCE and scanner.is_plain(plan):
                scanner.extend(plan, np.arange(number, number + len(part)), plan.columns(part))
                self.table.tally.count(RECORD, len(part))
                self._in_code = False
            else:
                text = "".join(f"{line if isinstance(line, str) else line.string}\n" for line in part)
                self._feed_pieces(pieces(text, number, self.table.tally))
            number += len(part)


def _stretches(lines: Iterable[str], scanner: Planned) -> Iterator[tuple[Plan | None, list[Any]]]:
    """Yield the lines in stretches: as matches of the plan that fits them all, or as they are where none does."""
    plans = list(filter(scanner.is_plain, scanner.plans.plans))
    before: Plan | None = None
    part: list[Any] = []
    for line in lines:
        fitting, found = before, before and before.match(line)  # most lines are like the one before
        if not found:
            fitting, found = next(((plan, found) for plan in plans if (found := plan.match(line))), (None, None))
        if fitting is not before or len(part) == MOST_AT_ONCE:
            if part:
                yield before, part
                plans = list(filter(scanner.is_plain, scanner.plans.plans))  # more may be known by now
            before, part = fitting, []
        part.append(found or line)
    if part:
        yield before, part


def _only_a_bar(piece: str) -> bool:
    return "%|" in piece[:8] and piece.rstrip().endswith("]")


def read_blocks(line_format: LineFormat, name: str, blocks: Iterable[str]) -> list[RawLog]:
    """Return the runs of a log, block after block; raise `UnreadableLog` where it holds no record of the format."""
    reading = None
    for block in blocks:
        reading = reading or TextReading(line_format, name, block)
        reading.feed(block)
    return (reading or TextReading(line_format, name, "")).finished()
