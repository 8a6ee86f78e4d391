"""CSV of a size where reading row by row takes too long: polars splits the rows that fit the header."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from lmdiag.readers.csv.records import Header, add_rows, count_above
from lmdiag.readers.numbers import cell_number
from lmdiag.readers.tables.block_lines import Lines
from lmdiag.readers.tables.block_table import BlockTable
from lmdiag.readers.tables.rows import Rows
from lmdiag.sources.decoding import as_text

if TYPE_CHECKING:
    import polars


def read_blocks(blocks: Iterable[bytes], header: Header) -> Rows | None:
    """Read blocks of whole lines as row by row would; None for a table with quotes or doubled names, which must go that way.

    Rows whose number of separators is not that of the header are read by themselves.
    """
    if len(set(header.names)) < len(header.names):
        return None
    table = BlockTable()
    tally = table.single.tally
    first_line = 1
    numbers_only = all(cell_number(name) is None for name in header.names)  # then no row of numbers is the header again
    for block in blocks:
        if b'"' in block:
            return None
        block = block.replace(b"\r", b"")
        if first_line == 1:
            above, block = _cut(block, header.line)
            count_above(tally, [as_text(line.replace(b"\0", b"")) for line in above])
            tally.lines += len(above)
            first_line += len(above)
        lines = Lines(block, first_line)
        frame, alone, numbers_only = _frame_of(lines, header, numbers_only)
        if frame is None:
            return None
        before = len(table.single)
        tally.lines += len(lines)
        tally.with_records += frame.height
        for line in np.flatnonzero(alone).tolist():
            ending = "\n" if lines.ends[line] < len(block) else ""
            text = as_text(lines[line].replace(b"\0", b"")) + ending
            add_rows(table.single, [text], header, first_line + line)
        table.keep(frame, np.flatnonzero(~alone) + first_line, len(table.single) - before)
        first_line += len(lines)
    return table.rows()


def _cut(block: bytes, n: int) -> tuple[list[bytes], bytes]:
    """Return the first n lines of a block, and what is below them."""
    lines = block.split(b"\n", n)
    return lines[:n], lines[n] if len(lines) > n else b""


def _frame_of(lines: Lines, header: Header, numbers: bool) -> tuple[polars.DataFrame | None, np.ndarray, bool]:
    """Return the rows that fit the header, which lines are to be read alone, and whether all in the rows are numbers.

    Where there are as many separators as so many rows have, and polars finds in none too many, there are in none too few.
    """
    if (
        numbers
        and b"\0" not in lines.block
        and lines.occurrences(header.separator) == len(lines) * (len(header.names) - 1)
    ):
        frame = _frame(lines.block, header, numbers=True)
        if frame is not None and frame.height == len(lines):
            return frame, np.zeros(len(lines), bool), True
    alone = _odd_lines(lines, header)
    chosen, n = _chosen(lines, ~alone), int((~alone).sum())
    for for_numbers in [True, False] if numbers else [False]:
        frame = _frame(chosen, header, for_numbers)
        if frame is not None and frame.height == n:  # else words are among them
            return frame, alone, for_numbers
    return None, alone, False


def _odd_lines(lines: Lines, header: Header) -> np.ndarray:
    """Return which lines are not plainly rows: with too many or few fields, with NUL bytes, or the header again: bool[n]."""
    fields = lines.count(np.flatnonzero(lines.text == ord(header.separator)))
    odd = fields != len(header.names) - 1
    odd |= lines.count(np.flatnonzero(lines.text == 0)) > 0
    first_name = header.names[0].encode()
    for line in np.flatnonzero(lines.text[np.minimum(lines.starts, len(lines.text) - 1)] == first_name[0]).tolist():
        odd[line] |= lines[line].startswith(first_name)
    return np.asarray(odd)


def _chosen(lines: Lines, chosen: np.ndarray) -> bytes:
    if chosen.all():
        return lines.block
    kept = np.repeat(chosen, np.diff(np.append(lines.starts, len(lines.text))))
    return lines.text[kept].tobytes()


def _frame(block: bytes, header: Header, numbers: bool) -> polars.DataFrame | None:
    """Return rows as columns of numbers, or of words; None where polars cannot take them for that."""
    import polars as pl

    schema = dict.fromkeys(header.names, pl.Float64 if numbers else pl.String)
    if not block or block.isspace():
        return pl.DataFrame(schema=schema)
    try:
        return pl.read_csv(block, has_header=False, separator=header.separator, quote_char=None, schema=schema)
    except pl.exceptions.PolarsError:
        return None
