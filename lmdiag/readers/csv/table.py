"""CSV and TSV with a header: one row per record, or one row per value."""

from __future__ import annotations

import csv
import re
from pathlib import PurePath

import numpy as np
from msgspec.structs import replace

from lmdiag.errors import UnreadableLog
from lmdiag.languages import in_english
from lmdiag.naming import is_step_name, spelling
from lmdiag.readers.csv.records import Header, add_rows, count_above
from lmdiag.readers.numbers import cell_number
from lmdiag.readers.rawlog import Column, RawLog
from lmdiag.readers.tables.long_form import is_long, widened
from lmdiag.readers.tables.results_table import refuse_results_table
from lmdiag.readers.tables.rows import Rows
from lmdiag.sources.decoding import as_text
from lmdiag.sources.source import Source

SEPARATORS = (",", "\t", ";", "|")
# next to one of these columns, and without a step, `loss` means money, games or network packets
OF_MONEY = frozenset("profit price revenue amount quantity balance pnl gain win wins losses draws ping".split())
DOWNLOADED = ("wall time", "step", "value")  # from TensorBoard: the name of the file tells what the values are
ENOUGH_LINES = 3
FAR_FROM_ZERO = 0.2  # a loss that comes near zero may reach it
_DECIMAL_COMMA = re.compile(r"(?<![\d.,])\d+,\d+(?![\d.,])")
LARGE = 8 << 20  # from here on polars is worth its import


def can_read(name: str, head: bytes) -> bool:
    """Tell whether a first line names a loss or a known metric, and the next lines have its number of fields."""
    names = table_names(name, head)
    return bool(names) and _is_header(names)


def table_names(name: str, head: bytes) -> list[str]:
    """Return the names in the first line of a table, whatever it is about; an empty list where it is none."""
    text = head.decode("utf-8", "replace").splitlines()
    at, first = _head_line(text)
    lines = [first, *(line for line in text[at + 1 :] if line.strip() and not line.startswith("#"))]
    if len(lines) < 2 or lines[0].lstrip().startswith(("{", "[", "|", "**")):  # a table that is drawn
        return []
    separator = _separator(lines[0])
    names = [field.strip() for field in next(csv.reader([lines[0]], delimiter=separator))]
    named = PurePath(name.lower().removesuffix(".gz")).suffix in (".csv", ".tsv")
    alone = len(names) == 1 and named and spelling(names[0]).name.rpartition("/")[2] == "loss"
    if (len(names) < 2 and not alone) or any(cell_number(field) is not None for field in names if field):
        return []
    rows = list(csv.reader(lines[1 : 1 + ENOUGH_LINES], delimiter=separator))
    fitting = sum(len(row) == len(names) and any(cell_number(cell) is not None for cell in row) for row in rows)
    return (
        names if (named and not alone) or fitting * 2 > len(rows) else []
    )  # "Epoch 1, loss 2.3" has equal fields too, but none is a number


def _head_line(lines: list[str]) -> tuple[int, str]:
    """Return where the head of a table stands, and its text: the first line that is no comment, or a comment above numbers.

    >>> _head_line(["# a run", "#step,loss", "1,2.5"]), _head_line(["# a run", "step,loss", "1,2.5"])
    ((1, 'step,loss'), (1, 'step,loss'))
    """
    at = next((i for i, line in enumerate(lines) if line.strip() and not line.startswith("#")), 0)
    above, first = lines[at - 1] if at else "", lines[at] if lines else ""
    separator = _separator(first)
    commented = above.startswith("#") and 0 < first.count(separator) == above.count(separator)
    if commented and any(cell_number(field) is not None for field in first.split(separator)):
        return at - 1, above.lstrip("# ")
    return at, first


def _separator(header: str) -> str:
    return max(SEPARATORS, key=header.count)


def _is_header(names: list[str]) -> bool:
    plain = [in_english(name).lower() for name in names]
    counters = any(is_step_name(n) or n == "epoch" for n in plain)
    if not counters and not OF_MONEY.isdisjoint(plain):
        return False
    known = any(spelling(n).known for n in plain) or (
        "train" in plain and any(n.startswith(("val", "eval")) for n in plain)
    )
    return is_long(names) or any("loss" in n for n in plain) or (counters and known)


def read(source: Source) -> list[RawLog]:
    """Read every row; a row with more or fewer fields than the header is counted."""
    header = _header(source.head)
    if tuple(name.lower() for name in header.names) == DOWNLOADED:
        header = _named_after(source.name, header)
    rows = None
    commas = header.separator != "," and _DECIMAL_COMMA.search(as_text(source.head)) is not None
    if source.size >= LARGE and not source.packed and not commas:
        from lmdiag.readers.csv.large import read_blocks

        rows = read_blocks(source.blocks(), header)
    if rows is None:
        rows = Rows()
        text = source.text.replace("\0", "").replace("\r", "")
        rows.tally.count_lines(text)
        lines = text.split("\n")
        above, last = lines[: header.line], lines.pop()
        count_above(rows.tally, above)
        lines = [f"{line}\n" for line in lines[header.line :]] + ([last] if last and len(lines) >= header.line else [])
        add_rows(rows, lines, header, header.line + 1)
    if not len(rows):
        raise UnreadableLog(
            f"{source.name} has a header but no rows", "the run wrote nothing yet, or the file is cut off"
        )
    notes = rows.settle_commas()
    rows = widened(rows)
    return [_without_placeholders(refuse_results_table(rows.log("csv", source.name, source=source.name, notes=notes)))]


def _header(head: bytes) -> Header:
    lines = as_text(head).replace("\0", "").split("\n")
    first, names = _head_line(lines)
    separator = _separator(names)
    fields = next(csv.reader([names.replace("\r", "")], delimiter=separator), [])
    return Header(tuple(name.strip() or f"column {i}" for i, name in enumerate(fields, 1)), separator, first + 1)


def _named_after(file: str, header: Header) -> Header:
    """Return a header whose values are called what the name of their file says, where that is something known.

    >>> _named_after("a/run-train-tag-eval_loss.csv", Header(("Wall time", "Step", "Value"), ",", 1)).names
    ('Wall time', 'Step', 'eval_loss')
    """
    name = PurePath(file.removesuffix(".gz")).stem.rpartition("-tag-")[2]
    known = spelling(name).known
    return Header((*header.names[:2], name), header.separator, header.line) if known else header


def _without_placeholders(raw: RawLog) -> RawLog:
    """Drop the zeros that a program writes into the column of an evaluation in the rows it did not evaluate at."""
    columns, notes = dict(raw.columns), []
    for name, column in raw.columns.items():
        if not spelling(name).name.endswith("/loss"):
            continue
        zero, others = column.values == 0, np.abs(column.values[column.values != 0])
        if not zero.any() or not len(others):
            continue
        comes_back = (zero[:-1] & ~zero[1:]).any()  # zeros to the end are what a broken evaluation gives
        if not comes_back or others.min() <= FAR_FROM_ZERO * np.median(others):
            continue
        columns[name] = Column(column.rows[~zero], column.values[~zero])
        notes.append(f'{int(zero.sum())} zeros in "{name}" were taken as "not evaluated"')
    return replace(raw, columns=columns, notes=(*raw.notes, *notes)) if notes else raw
