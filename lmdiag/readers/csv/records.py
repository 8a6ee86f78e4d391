"""The records of a CSV file under its header, read row by row."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass

from lmdiag.readers.tables.rows import Rows


@dataclass(frozen=True)
class Header:
    """The names of the columns, what separates them, and the line they stand on."""

    names: tuple[str, ...]
    separator: str
    line: int


def add_rows(rows: Rows, lines: Iterable[str], header: Header, first_line: int) -> None:
    """Add the records on some lines to the rows, and count those that do not fit the header."""
    reader = csv.reader(lines, delimiter=header.separator)
    while True:
        line = first_line + reader.line_num
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            rows.skip(line, f"not a row of CSV: {error}")
            continue
        if not fields or fields == [""] or tuple(f.strip() for f in fields) == header.names:
            continue  # a program that appends to its log writes the header again
        if len(fields) != len(header.names):
            rows.skip(line, f"{len(fields)} fields where the header has {len(header.names)}")
            continue
        rows.add(dict(zip(header.names, fields)), line)
