"""JSON Lines of a size where decoding line by line takes too long: polars reads what is clean, line by line goes the rest.

polars is fast, but one bare NaN or torn line fails the whole read, a key that is not in its schema vanishes, and of a
doubled key it keeps the first. So the log is read in blocks; after each the cells are counted against the colons of the
text, and a line that does not add up, or that polars would not read, is decoded by itself. The result is that of decoding
all lines.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from lmdiag.readers.json.decode import decode
from lmdiag.readers.json.taking import Take, take_line
from lmdiag.readers.tables.block_lines import NEWLINE, QUOTE, Lines
from lmdiag.readers.tables.block_table import BlockTable
from lmdiag.readers.tables.rows import Rows
from lmdiag.sources.decoding import as_text

if TYPE_CHECKING:
    import polars

SAMPLED_LINES = 200
FEWEST_LINES = 64  # a piece of fewer lines is not worth another attempt of polars
MOSTLY = 0.5
WORTH_A_THREAD = 1 << 23  # bytes of a block; a shorter one is the last as a rule


def read_blocks(blocks: Iterable[bytes], take: Take, usual: tuple[str, str] = ("", "")) -> Rows:
    """Read blocks of whole lines; `take` adds a record that was decoded by itself to the rows, or notes its loss.

    `usual` is a column and the word that it holds in lines that need no `take`: ("type", "step").
    """
    reading = _Reading(take, usual)
    first_line = 1
    for block, frame in reading.frames(iter(blocks)):
        first_line += reading.add(block, frame, first_line)
    return reading.table.rows()


class _Reading:
    """The schema as far as it is known, and the table as far as it is read."""

    def __init__(self, take: Take, usual: tuple[str, str]) -> None:
        self.take, self.usual = take, usual
        self.table = BlockTable()
        self.schema: dict[str, Any] = {}

    def frames(self, blocks: Iterator[bytes]) -> Iterator[tuple[bytes, polars.DataFrame | None]]:
        """Yield each block and what polars makes of it, None where it refuses; one block is read ahead, in a thread."""
        found = self._next_frame(blocks)
        if found is not None and len(found[0]) < WORTH_A_THREAD:
            yield found
            found = self._next_frame(blocks)
        if found is None:
            return
        yield found
        with ThreadPoolExecutor(1) as thread:
            coming = thread.submit(self._next_frame, blocks)
            while found := coming.result():
                coming = thread.submit(self._next_frame, blocks)
                yield found

    def _next_frame(self, blocks: Iterator[bytes]) -> tuple[bytes, polars.DataFrame | None] | None:
        block = next(blocks, None)
        if block is None:
            return None
        if not self.schema:
            lines = Lines(block, 1)
            self._learn([lines[k] for k in _sample(lines.ends - lines.starts)])
        return block, self._frame(block)

    def add(self, block: bytes, frame: polars.DataFrame | None, first_line: int) -> int:
        """Keep the frame of a block where it holds every cell, else read the lines with care; return how many there are."""
        lines = Lines(block, first_line)
        n_lines = lines.counted(NEWLINE) + (not block.endswith(b"\n"))
        self.table.single.tally.lines += n_lines
        whole = frame is not None and frame.height == n_lines and _every_cell(frame, block, lines.counted(QUOTE))
        if frame is not None and whole and self._usual(frame).all():
            self.table.single.tally.with_records += frame.height
            self.table.keep(self._told(frame), np.arange(first_line, first_line + n_lines))
        else:
            self._add_with_care(lines, learn=True)
        return n_lines

    def _learn(self, lines: list[bytes]) -> None:
        """Take the columns and their types from some lines."""
        records = [decode(line.decode("utf-8", "replace")) for line in lines if line]
        self._learn_from([record for record in records if isinstance(record, dict)])

    def _learn_from(self, records: list[dict[str, Any]]) -> None:
        import polars as pl

        self.table.single.empty.update(name for record in records for name, value in record.items() if value is None)
        types = {str: pl.String, bool: pl.Boolean, float: pl.Float64, int: pl.Float64}
        seen = Counter((name, type(value)) for record in records for name, value in record.items())
        usual = {name: kind for (name, kind), _ in reversed(seen.most_common()) if kind in types}
        self.schema |= {name: types[usual[name]] for name, _ in seen if name in usual and name not in self.schema}

    def _frame(self, block: bytes) -> polars.DataFrame | None:
        import polars as pl

        try:
            return pl.read_ndjson(block, schema=dict(self.schema)) if self.schema else None
        except pl.exceptions.PolarsError:
            return None

    def _usual(self, frame: polars.DataFrame) -> np.ndarray:
        """Return which rows are of the usual kind: bool[n]."""
        column, word = self.usual
        if column not in frame.columns:
            return np.ones(frame.height, bool)
        return (frame[column] == word).fill_null(True).to_numpy()

    def _told(self, frame: polars.DataFrame) -> polars.DataFrame:
        """Take out the column of the usual word, which says nothing about the records that have it."""
        if self.usual[0] in frame.columns:
            frame.drop_in_place(self.usual[0])
        return frame

    def _add_with_care(self, lines: Lines, learn: bool = False) -> None:
        """Blank out the lines that polars would not read, and decode these by themselves."""
        odd = lines.odd
        if len(lines) <= FEWEST_LINES or odd.mean() > MOSTLY:
            self._keep(None, np.empty(0, np.int64), lines, np.flatnonzero(~lines.blank))
            return
        frame = self._frame(lines.without(odd))
        good = np.flatnonzero(~odd)
        if frame is None or frame.height != len(good):
            for half in lines.halves():
                self._add_with_care(half)
            return
        known = self._known_rows(frame, lines, good)
        if learn and known.mean() < MOSTLY:
            before = len(self.schema)
            self._learn([lines[k] for k in good[~known][:SAMPLED_LINES].tolist()])
            if len(self.schema) > before:
                self._add_with_care(lines)
                return
        alone = np.sort(np.append(np.flatnonzero(odd & ~lines.blank), good[~known]))
        self._keep(frame if known.all() else frame.filter(known), good[known] + lines.first, lines, alone)

    def _known_rows(self, frame: polars.DataFrame, lines: Lines, good: np.ndarray) -> np.ndarray:
        """Return the rows of which every cell was read and that are of the usual kind: bool[n]."""
        import polars as pl

        cells = frame.select(pl.sum_horizontal(pl.all().is_not_null().cast(pl.Int32))).to_series().to_numpy()
        return np.asarray((cells == lines.cells[good]) & self._usual(frame))

    def _keep(self, frame: polars.DataFrame | None, numbers: np.ndarray, lines: Lines, alone: np.ndarray) -> None:
        """Append the rows of a frame, which stand on the lines `numbers`, and the records of the lines left `alone`."""
        single = self.table.single
        single.tally.with_records += len(numbers)
        single.tally.blank += int(lines.blank.sum())
        before = len(single)
        plain: list[dict[str, Any]] = []
        for line in alone.tolist():
            found = decode(as_text(lines[line]))
            if isinstance(found, dict) and len(plain) < SAMPLED_LINES:
                plain.append(dict(found))
            take_line(single, lines.first + line, found, self.take)
        self._learn_from(plain)  # so that rare keys cost only the first block
        self.table.keep(frame if frame is None else self._told(frame), numbers, len(single) - before)


def _sample(lengths: np.ndarray) -> list[int]:
    """Choose lines from all over the block, and the shortest and longest, which hold other keys: list of n."""
    few = min(SAMPLED_LINES, max(20, len(lengths) // 500))
    spread = np.arange(0, len(lengths), max(1, len(lengths) // few))
    by_length = np.argsort(lengths)
    chosen = np.concatenate([spread, by_length[:few], by_length[-few:]])
    return np.unique(chosen).tolist()


def _every_cell(frame: polars.DataFrame, block: bytes, n_quotes: int) -> bool:
    """Tell whether the frame holds as many keys and strings as there are quotes in the text."""
    import polars as pl

    cells = sum(c.len() - c.null_count() for c in frame.iter_columns())
    strings = sum(c.len() - c.null_count() for c in frame.iter_columns() if c.dtype == pl.String)
    missing = n_quotes - 2 * (cells + strings)
    nulls = block.count(b": null") + block.count(b":null") if missing else 0
    return missing == 2 * nulls
