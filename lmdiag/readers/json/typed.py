"""Most lines of a log hold numbers under the same few names: they are decoded as records of a type that is learnt from them.

That takes a tenth of the time of decoding to dictionaries. A line that does not fit the type, one in which a name stands
twice, and all that is no JSON, goes the careful way; the result is that of decoding every line with care.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import compress, pairwise
from typing import Any

import msgspec
import numpy as np

from lmdiag.readers.json.record_type import RecordType, Table, counted
from lmdiag.readers.json.taking import Take, Usual, take_lines
from lmdiag.readers.tables.rows import Rows
from lmdiag.sources.decoding import as_text
from lmdiag.stats.windows import median

SAMPLED = 32  # lines that a type is learnt from at once
USUAL = 0.75  # of the length of most lines
ROUNDS = 8  # of learning in a piece of a log; new names are rarer
QUOTE, BRACE, LINE_END = b'"{\n'
PIECE = 1 << 19  # bytes that are decoded while they are in the cache


class TypedLines:
    """The `rows` of the lines that were added so far, and the type of their records.

    `take` sees the records that are not plain, and notes what is lost; `usual` is a column, and the word it holds in those that are.
    """

    def __init__(self, take: Take, usual: Usual = ("", "")) -> None:
        self.rows = Rows()
        self.take, self.usual = take, usual
        self.type = RecordType(usual)

    def add(self, block: bytes) -> None:
        """Add what whole lines hold, which are UTF-8 as a rule; what their encoding is, they tell together."""
        if _is_utf8(block):
            for piece in _pieces(block):
                self._add_piece(piece)
        else:
            first_line = self.rows.tally.lines + 1
            lines = as_text(block).removesuffix("\n").split("\n")
            self.rows.tally.lines += len(lines)
            take_lines(self.rows, lines, self.take, first_line, self.usual)

    def _add_piece(self, block: memoryview) -> None:
        if not self.type.columns:
            ends = np.append(np.flatnonzero(np.frombuffer(block, np.uint8) == LINE_END), len(block))
            starts = np.append(0, ends[:-1] + 1)
            self._learn([bytes(block[starts[k] : ends[k]]) for k in _telling(ends - starts)])
        whole = self._whole(block)
        if whole is not None:
            n = len(whole.names)
            first_line = self.rows.tally.lines + 1
            self.rows.tally.lines += n
            self.rows.tally.with_records += n
            self.rows.extend_columns(whole.cells(0, n, len(self.rows)), counted(first_line, n))
            self.rows.empty |= whole.empty
            return
        lines = _lines(block)
        tally = self.rows.tally
        first_line = tally.lines + 1
        tally.lines += len(lines)
        odd, table = self._table(lines, block)
        done = 0
        for start, stop, fits in _stretches(odd, len(lines)):
            if fits:
                found = table.cells(done, done + stop - start, len(self.rows))
                self.rows.extend_columns(found, counted(first_line + start, stop - start))
                tally.with_records += stop - start
                done += stop - start
            else:
                text = [line.decode() for line in lines[start:stop]]
                take_lines(self.rows, text, self.take, first_line + start, self.usual)
        self.rows.empty |= table.empty

    def _whole(self, block: memoryview) -> Table | None:
        """Return the table of a block in which every line is a record of the type, as of most blocks; None for others.

        To the decoder a line end is a space. Where each line begins with a brace, no line end stands inside a record, for these hold
        no objects.
        """
        if not self.type.columns or block[0] != BRACE:
            return None
        try:
            records = self.type.decoder.decode_lines(block)
        except msgspec.DecodeError:
            return None
        text = np.frombuffer(block, np.uint8)
        begins = np.flatnonzero(text[:-1] == LINE_END) + 1
        if len(begins) + 1 != len(records) or not (text[begins] == BRACE).all():
            return None
        table = self.type.table(records)
        quotes = 2 * int((table.names + table.words).sum())
        return None if table.too_large.any() or _quotes(block) != quotes else table

    def _table(self, lines: Sequence[bytes], block: memoryview) -> tuple[list[int], Table]:
        """Return which lines do not fit the type, and the table of the records of the others."""
        records, odd = self._decoded(lines)
        while True:
            good = [record for record in records if record is not None] if odd else records
            table = self.type.table(good)
            unfit = table.too_large
            if not unfit.any():
                if _quotes(block) - sum(lines[k].count(b'"') for k in odd) == 2 * int(
                    (table.names + table.words).sum()
                ):
                    return odd, table
                spelled = [line.count(b'"') for line, record in zip(lines, records) if record is not None]
                unfit = np.array(spelled, np.int64) != 2 * (table.names + table.words)
            fitting = [k for k, record in enumerate(records) if record is not None]
            for k in compress(fitting, unfit.tolist()):
                records[k] = None
            odd = [k for k, record in enumerate(records) if record is None]

    def _decoded(self, lines: Sequence[bytes]) -> tuple[list[Any], list[int]]:
        """Return the record of each line, None where it does not fit, and which do not; what they hold is learnt from some."""
        if not self.type.columns:
            return [None] * len(lines), [*range(len(lines))]
        for rounds_left in reversed(range(ROUNDS)):
            records, odd = _each(lines, self.type.decoder.decode)
            if not odd or not rounds_left:
                break
            lengths = np.fromiter((len(lines[k]) for k in odd), np.int64, len(odd))
            if not self._learn([lines[odd[k]] for k in _telling(lengths)]):
                break
        for k in odd:
            if b"NaN" in lines[k]:
                records[k] = self.type.made(_loaded(lines[k]))
        return records, [k for k in odd if records[k] is None]

    def _learn(self, lines: Sequence[bytes]) -> bool:
        """Add the names of some lines to the type; return whether it has grown."""
        return self.type.learn(map(_loaded, lines))


def _telling(lengths: np.ndarray) -> list[int]:
    """Return which of some lines to learn from: the first, some of all, and the first of unusual length."""
    half, n = SAMPLED // 2, len(lengths)
    usual = median(lengths)
    unusual = np.flatnonzero((lengths < USUAL * usual) | (usual < USUAL * lengths))[:half]  # evaluations, mostly
    return sorted({*range(min(half, n)), *range(0, n, max(1, n // half)), *unusual.tolist()})


def _loaded(line: bytes) -> Any:
    """Return what a line of JSON, or of JSON with NaN, says; None where it is neither."""
    try:
        return json.loads(line.decode())
    except (ValueError, RecursionError):
        return None


def _each(lines: Sequence[bytes], decode: Callable[[bytes], Any]) -> tuple[list[Any], list[int]]:
    """Return the record of each line, None where it does not fit, and which do not."""
    records: list[Any] = []
    for line in lines:
        try:
            records.append(decode(line))
        except msgspec.DecodeError:
            records.append(None)
    return records, [k for k, record in enumerate(records) if record is None]


def _stretches(odd: Sequence[int], n: int) -> Iterator[tuple[int, int, bool]]:
    """Yield the stretches of n lines that fit, and those of the odd ones among them: where each starts and stops, and whether it fits.

    >>> list(_stretches([2, 3, 5], 6))
    [(0, 2, True), (2, 4, False), (4, 5, True), (5, 6, False)]
    """
    fits = np.ones(n, bool)
    fits[list(odd)] = False
    for start, stop in pairwise([0, *(np.flatnonzero(fits[1:] != fits[:-1]) + 1).tolist(), n]):
        yield start, stop, bool(fits[start])


def _pieces(block: bytes) -> Iterator[memoryview]:
    """Yield a block in pieces of whole lines."""
    start, whole = 0, memoryview(block)
    while start < len(block):
        stop = block.find(b"\n", start + PIECE) + 1 or len(block)
        yield whole[start:stop]
        start = stop


def _lines(block: memoryview) -> list[bytes]:
    return bytes(block).removesuffix(b"\n").split(b"\n")


def _is_utf8(block: bytes) -> bool:
    if block.isascii():
        return True
    try:
        block.decode()
    except UnicodeDecodeError:
        return False
    return True


def _quotes(block: memoryview) -> int:
    """Return how many quotes a block holds; of so many numpy is several times faster than `bytes.count`."""
    text = np.frombuffer(block, np.uint8)
    return sum(int(np.count_nonzero(text[start : start + PIECE] == QUOTE)) for start in range(0, len(text), PIECE))
