"""Blocks of a printed log -> a table, whether the whole log is there or it still grows."""

from __future__ import annotations

import re
from collections.abc import Iterable
from copy import deepcopy
from pathlib import PurePath

import numpy as np
from msgspec.structs import replace

from lmdiag.patterns import lazy
from lmdiag.readers.messages import TRACEBACK, EventWatcher, find_facts
from lmdiag.readers.rawlog import RawLog
from lmdiag.readers.tables.table import STEP, Table
from lmdiag.readers.text.blocks import BlockScanner
from lmdiag.readers.text.counters import SUREST_STEP, named_counter
from lmdiag.readers.text.decimal_commas import decimal_names, with_points
from lmdiag.readers.text.formats import GENERIC
from lmdiag.readers.text.line_format import LineFormat, LineScanner
from lmdiag.readers.text.named_numbers import FEWEST_RECORDS, PairScanner
from lmdiag.readers.text.pieces import LONGEST_PIECE, are_lines, is_coloured_diff, pieces, without_colours
from lmdiag.readers.text.plans import Plan
from lmdiag.run import Skipped

TEXT, LOST, RECORD = range(3)
Planned = LineScanner | PairScanner  # know plans that fit whole lines
MOST_STRETCHES = 3
HEADER_RECORDS = 50  # facts of the header stand before this many records
FEW_LINES = 3  # that are read one by one
LONGEST_NUMBER = 40  # characters
SHORTEST_BLOCK, LONGEST_BLOCK = 1 << 8, 1 << 18  # characters that are read at once
_CODE_BEGINS = lazy(r"import \w+|from \w[\w.]* import ")
_CUT = lazy(r"(?<![\w.])[+-]?\d+(?:\.|(?:\.\d+)?[eE][+-]?)\Z")  # at the end of a log, without a line end
_RULE = lazy(r"[=*-]{20,}\s*$")
MARKDOWN = (".md", ".markdown")
_HEADING = lazy(r"^#{1,6} +\S", re.MULTILINE)


class TextReading:
    """A printed log that lines are added to; what is done at its end can be done to a copy."""

    def __init__(self, line_format: LineFormat, name: str, start: str, counter: str = "") -> None:
        self._line_format, self._name = line_format, name
        self.table = line_format.table()
        plain = without_colours(start)
        self._scanner = line_format.scanner(self.table, plain)
        self._planned = self._scanner if isinstance(self._scanner, Planned) else None
        self._printed = Table()  # lines with a loss that are none of the format
        self._prints = PairScanner(self._printed, plain)
        self._knows_no_others = isinstance(self._scanner, LineScanner | BlockScanner)
        self._counter = named_counter(counter) if isinstance(self._scanner, PairScanner) else None
        self._commas = decimal_names(plain)
        self.table.notes += [
            f'"{name}" writes decimals with a comma: 2,5 was read as 2.5' for name in sorted(self._commas)
        ]
        if is_coloured_diff(start):
            self.table.notes.append("the log is a coloured word diff of two logs; the new values were read")
        self._events = EventWatcher(self.table)
        self._headings: list[int] | None = [] if PurePath(name).suffix.lower() in MARKDOWN else None
        self._chatter = 0
        self._in_code = False
        self._counted, self._kind = -1, TEXT  # a line is what the most telling of its pieces is

    def feed(self, lines: str) -> None:
        """Read further whole lines."""
        text, tally = without_colours(lines), self.table.tally
        if cut := _CUT.search(text[-LONGEST_NUMBER:]):
            text = text.removesuffix(cut[0])
            reason = f'the number "{cut[0]}" at the end of the log, which is cut off'
            self.table.skipped.append(Skipped(tally.lines + text.count("\n") + 1, reason, 1, "value"))
        if self._headings is not None:
            self._headings += [
                tally.lines + 1 + lines.count("\n", 0, found.start()) for found in _HEADING.finditer(lines)
            ]
        if self._commas:
            text = with_points(text, self._commas)
        if self._counter:
            text, often = self._counter.pattern.subn(SUREST_STEP, text)
            self.table.called |= {self._counter.word: STEP} if often else {}
        if self._planned is not None and text and are_lines(text):
            self._feed_lines(self._planned, text.removesuffix("\n"))
        else:
            first = tally.lines + 1
            tally.count_lines(lines)
            self._feed_pieces(pieces(text, first, tally))

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
        self.table.starts += self._sections()
        others = self._others()
        logs = self._line_format.finished(self._name, self.table, self._chatter) + others
        if others:  # in their order
            logs.sort(key=lambda log: log.lines[0] if log.lines is not None else 0)
            logs = [replace(log, name=f"{PurePath(self._name).name}#{k}") for k, log in enumerate(logs, 1)]
        return logs

    def _sections(self) -> list[int]:
        """Return the lines of a Markdown document at which the steps start again below another heading: notes of several runs."""
        rows, steps = map(np.asarray, self.table.columns.get(STEP, ((), ())))
        back = np.flatnonzero(np.diff(steps) < 0)
        if not self._headings or not len(back):
            return []
        lines = np.asarray(self.table.lines)
        headings = np.searchsorted(self._headings, lines[rows])
        return [int(lines[rows[k + 1]]) for k in back.tolist() if headings[k + 1] > headings[k]]

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

    def _feed_lines(self, scanner: Planned, text: str) -> None:
        """Read whole lines in blocks, which grow while plans are learnt."""
        at, size, tally = 0, SHORTEST_BLOCK, self.table.tally
        if "\n" not in text:
            tally.lines += 1
            self._feed_each(scanner, text, tally.lines, 1)
            return
        while at <= len(text):
            end = text.find("\n", at + size)
            block = text[at : end if end > 0 else len(text)]
            n = block.count("\n") + 1
            tally.lines += n
            self._feed_block(scanner, scanner.plans.plans, block, tally.lines - n + 1, n)
            at, size = at + len(block) + 1, min(2 * size, LONGEST_BLOCK)

    def _feed_block(self, scanner: Planned, plans: list[Plan], text: str, first: int, n: int) -> None:
        """Read the stretches of n lines that a plan fits column by column, and those between by the other plans, or one by one."""
        if n <= FEW_LINES or not (plain := [k for k, plan in enumerate(plans) if scanner.is_plain(plan)]):
            self._feed_each(scanner, text, first, n)
            return
        plan, others, row = plans[plain[0]], plans[plain[0] + 1 :], 0
        fits, columns = plan.columns(text)
        ends = [*(np.flatnonzero(fits[1:] != fits[:-1]) + 1).tolist(), n]
        lines = text.split("\n") if len(ends) > 1 else []
        for start, stop in zip([0, *ends], ends):
            n, part = stop - start, "\n".join(lines[start:stop]) if lines else text
            if not fits[start]:
                self._feed_block(scanner, others, part, first + start, n)
                continue
            if n > FEW_LINES and scanner.is_plain(plan):
                taken = {name: column[row : row + n] for name, column in columns.items()}
                rows = len(self.table.lines)
                scanner.extend(plan, np.arange(first + start, first + stop), taken)
                self._took(n, rows)
            else:
                self._feed_each(scanner, part, first + start, n)
            row += n

    def _feed_each(self, scanner: Planned, text: str, first: int, n: int) -> None:
        """Read n lines one by one, a few by the plan that fitted last where that can be."""
        plans = scanner.plans.plans
        if n > FEW_LINES:
            self._feed_pieces(pieces(f"{text}\n", first, self.table.tally))
            return
        for number, line in enumerate(text.split("\n"), first):
            if plans and (found := plans[0].match(line)) and scanner.is_plain(plans[0]):
                rows = len(self.table.lines)
                scanner.take(plans[0], number, plans[0].numbers(found))
                self._took(1, rows)
            else:
                self._feed_pieces(pieces(f"{line}\n", number, self.table.tally))

    def _took(self, n: int, rows: int) -> None:
        """Count lines that a plan fits, which were added behind so many rows but for those beyond any run."""
        added = len(self.table.lines) - rows
        self.table.tally.with_records += added
        self.table.tally.lost += n - added
        self._in_code = False


def _only_a_bar(piece: str) -> bool:
    return "%|" in piece[:8] and piece.rstrip().endswith("]")


def read_blocks(line_format: LineFormat, name: str, blocks: Iterable[str], counter: str = "") -> list[RawLog]:
    """Return the runs of a log, block after block; raise `UnreadableLog` where it holds no record of the format.

    `counter` is the word that the user says counts its steps.
    """
    reading = None
    for block in blocks:
        reading = reading or TextReading(line_format, name, block, counter)
        reading.feed(block)
    return (reading or TextReading(line_format, name, "", counter)).finished()
