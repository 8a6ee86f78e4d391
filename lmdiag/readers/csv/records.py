"""The records of a CSV file under its header, read row by row."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lmdiag.readers.numbers import cell_number
from lmdiag.readers.tables.rows import MISSING, Rows
from lmdiag.readers.tables.tally import Tally


@dataclass(frozen=True)
class Header:
    """The names of the columns, what separates them, and the line they stand on."""

    names: tuple[str, ...]
    separator: str
    line: int


def count_above(tally: Tally, lines: Iterable[str]) -> None:
    """Count the lines down to the header, which hold no records."""
    for line in lines:
        if line.strip():
            tally.text += 1
        else:
            tally.blank += 1


def add_rows(rows: Rows, lines: Sequence[str], header: Header, first_line: int) -> None:
    """Add the records on some lines to the rows, and count the lines and what does not fit the header.

    A quote that is never closed would take all that follows into one field: where the lines of a record fit the header by
    themselves, each is read alone.
    """
    reader = csv.reader(lines, delimiter=header.separator)
    start = 0
    while True:
        try:
            fields, problem = next(reader), ""
        except StopIteration:
            return
        except csv.Error as error:
            fields, problem = [], f"not a row of CSV: {error}"
        stop = reader.line_num
        if stop - start > 1 and _fit_alone(lines[start + 1 : stop], header):
            for at in range(start, stop):
                _add_row(rows, *_alone(lines[at], header), header, lines[at : at + 1], first_line + at)
        else:
            _add_row(rows, fields, problem, header, lines[start:stop], first_line + start)
        start = stop


def _alone(line: str, header: Header) -> tuple[list[str], str]:
    try:
        return next(csv.reader([line], delimiter=header.separator), []), ""
    except csv.Error as error:
        return [], f"not a row of CSV: {error}"


def _fit_alone(lines: Sequence[str], header: Header) -> bool:
    fitting = sum(len(_alone(line, header)[0]) == len(header.names) for line in lines)
    return 2 * fitting > len(lines)


def _add_row(
    rows: Rows, fields: list[str], problem: str, header: Header, lines: Sequence[str], first_line: int
) -> None:
    """Add one record, which stands on these lines, or count them as what else they are."""
    tally, n_names = rows.tally, len(header.names)
    if not problem and not "".join(fields).strip() and len(fields) < 2:
        tally.blank += len(lines)
    elif tuple(field.strip() for field in fields) == header.names or (lines[0][0] == "#" and len(fields) != n_names):
        tally.text += len(lines)  # a program that appends to its log writes the header again
    elif len(fields) < n_names and not lines[0].strip("-+=| \r\n"):
        tally.text += len(lines)  # the rule below a head, as databases draw it
    elif len(fields) == n_names or _is_beginning(fields, n_names, lines[-1]):
        tally.with_records += len(lines)
        rows.add(dict(zip(header.names, fields)), first_line)
    else:
        tally.lost += len(lines)
        rows.skip(first_line, problem or f"{len(fields)} fields where the header has {n_names}")


def _is_beginning(fields: list[str], n_names: int, line: str) -> bool:
    """Tell whether a row only lacks its last fields: of one that was cut off at the end of the file the last may be torn."""
    numbers = (cell_number(field) is not None or field.strip().lower() in MISSING for field in fields)
    return 2 <= len(fields) < n_names and line.endswith("\n") and all(numbers)
