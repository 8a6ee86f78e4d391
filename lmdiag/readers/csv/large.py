"""CSV of a size where reading row by row takes too long: polars splits the rows that fit the header."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from lmdiag.readers.csv.records import Header, add_rows, count_above
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
    first_line, numbers_only = 1, True
    for block in blocks:
        if b'"' in block:
            return None
        block = block.replace(b"\r", b"")
        lines = Lines(block, first_line)
        alone = _odd_lines(lines, header)
        chosen, n = _chosen(lines, ~alone), int((~alone).sum())
        frame = _frame(chosen, header, numbers=True) if numbers_only else None
        if frame is None or frame.height != n:  # words among them
            numbers_only, frame = False, _frame(chosen, header, numbers=False)
        if frame is None or frame.height != n:
            return None
        before = len(table.single)
        tally = table.single.tally
        tally.lines += len(lines)
        tally.with_records += frame.height
        for line in np.flatnonzero(alone).tolist():
            ending = "\n" if lines.ends[line] < len(block) else ""
            text = as_text(lines[line].replace(b"\0", b"")) + ending
            if first_line + line > header.line:
                add_rows(table.single, [text], header, first_line + line)
            else:
                count_above(tally, [text])
        table.keep(frame, np.flatnonzero(~alone) + first_line, len(table.single) - before)
        first_line += len(lines)
    return table.rows()


def _odd_lines(lines: Lines, header: Header) -> np.ndarray:
    """Return which lines are not plainly rows: with too many or few fields, with NUL bytes, or the header: bool[n]."""
    fields = lines.count(np.flatnonzero(lines.text == ord(header.separator)))
    odd = fields != len(header.names) - 1
    odd |= lines.count(np.flatnonzero(lines.text == 0)) > 0
    first_name = header.names[0].encode()
    for line in np.flatnonzero(lines.text[np.minimum(lines.starts, len(lines.text) - 1)] == first_name[0]).tolist():
        odd[line] |= lines[line].startswith(first_name)
    odd[: max(0, header.line + 1 - lines.first)] = True
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
    if not block.strip():
        return pl.DataFrame(schema=schema)
    try:
        return pl.read_csv(block, has_header=False, separator=header.separator, quote_char=None, schema=schema)
    except pl.exceptions.PolarsError:
        return None
