"""Rows of values in JSON: lists of lists, with names apart, in their first row, or nowhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import PurePath
from typing import Any

from lmdiag.patterns import lazy
from lmdiag.readers.numbers import cell_number
from lmdiag.readers.tables.rows import DEEPEST, Rows

FEWEST_ROWS = 3
MOST_GUESSED = 3  # values of a row that can be guessed: the step, the training loss, the evaluation loss
A_CLOCK = 1e9  # seconds since 1970: a step is smaller
ALIKE = 4.0  # times that the losses of training and evaluation are apart at most
_OF_TRAINING = lazy(r"loss|train|histor|curve|metric|log|ppl|perplexity", re.IGNORECASE)
_TAG = lazy(r"tag-(.+)$")
Table = tuple[Rows, tuple[str, ...]]


def table_in(document: Any, name: str) -> Table | None:
    """Return the rows of the longest table that is a curve, and what was guessed of it; None where there is none."""
    curves = {key: part for key, part in _parts(document) if _is_table(part, 2) and _is_curve(part)}
    losses = {key: part for key, part in curves.items() if key and _OF_TRAINING.search(key)}
    if len(losses) > 1 or any("loss" in key.lower() for key in losses):
        return _pairs(losses)
    for names, table in _named(document):
        rows = Rows()
        for values in table:
            rows.add(dict(zip(names, values)))
        return rows, ()
    tables = [(key, part) for key, part in _parts(document) if _is_table(part)]
    key, table = max(tables, key=lambda found: len(found[1]), default=("", []))
    return _guessed(table, key or PurePath(name).stem) if table else None


def without_torn_row(document: Any) -> Any:
    """Return what a document says that ended too early, without a last row that is shorter than the others."""
    for _, part in _parts(document):
        if isinstance(part, list) and len(part) > 1 and all(isinstance(row, list) for row in (part[0], part[-1])):
            del part[len(part) - (len(part[-1]) < len(part[0])) :]
    return document


def _parts(document: Any, key: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    yield key, document
    if isinstance(document, dict) and depth < DEEPEST:
        for name, value in document.items():
            yield from _parts(value, name, depth + 1)


def _named(document: Any) -> Iterator[tuple[list[str], list[Any]]]:
    """Yield the tables with names: of pandas, which writes them apart, and with names in the first row."""
    for _, part in _parts(document):
        if isinstance(part, dict) and isinstance(part.get("columns"), list) and isinstance(part.get("data"), list):
            names, table = part["columns"], part["data"]
        elif isinstance(part, list) and len(part) > FEWEST_ROWS and isinstance(part[0], list):
            names, table = part[0], part[1:]
        else:
            continue
        words = names and all(isinstance(n, str) and cell_number(n) is None for n in names)
        if words and all(isinstance(row, list) and len(row) == len(names) for row in table):
            yield names, table


def _is_table(part: Any, width: int = 0) -> bool:
    """Tell whether this is a list of equally long rows of numbers."""
    if not isinstance(part, list) or len(part) < FEWEST_ROWS or not isinstance(part[0], list):
        return False
    n = width or len(part[0])
    return n > 1 and all(isinstance(row, list) and len(row) == n and all(map(_is_value, row)) for row in part)


def _is_value(value: Any) -> bool:
    return (
        value is None or isinstance(value, (int, float)) or (isinstance(value, str) and cell_number(value) is not None)
    )


def _numbers(table: list[Any], column: int) -> list[float]:
    values = [cell_number(value) if isinstance(value, str) else value for row in table for value in [row[column]]]
    return [float("nan") if value is None else float(value) for value in values]


def _is_curve(table: list[Any]) -> bool:
    """Tell whether the first value of each row counts."""
    counts = _numbers(table, 0)
    return all(value == round(value) for value in counts if value == value) and all(a < b for a, b in pairwise(counts))


def _pairs(curves: dict[str, list[Any]]) -> Table:
    """Return the rows of curves whose points are pairs: {"train_loss": [[0, 4.2], …], "val_loss": …}."""
    rows = Rows()
    for key, table in curves.items():
        for step, value in table:
            rows.add({"step": step, key: value})
    return rows, (f"the first of the two values in {', '.join(curves)} was taken for the step",)


def _guessed(table: list[Any], name: str) -> Table | None:
    """Name the values of rows by what they can be, where a name says that they are of a training."""
    width = len(table[0])
    first, second = _numbers(table, 0), _numbers(table, 1)
    if width == MOST_GUESSED and min(first) > A_CLOCK and _is_curve([row[1:] for row in table]):
        tag = _TAG.search(name)
        names = ["wall_time", "step", (tag[1] if tag else name)]
        note = f'the rows have no names: they were taken for time, step and "{names[2]}", as TensorBoard exports them'
    elif _is_curve(table) and _OF_TRAINING.search(name) and (width <= MOST_GUESSED or "loss" in name.lower()):
        names = ["step", "loss", *(f"value {k}" for k in range(3, width + 1))]
        note = "the rows have no names: the first value was taken for the step, the second for the loss"
        if width == MOST_GUESSED and _alike(second, _numbers(table, 2)):
            names[2] = "val_loss"
            note += ", the third for the evaluation loss"
    else:
        return None
    rows = Rows()
    for row in table:
        rows.add(dict(zip(names, row)))
    return rows, (note,)


def _alike(some: list[float], others: list[float]) -> bool:
    """Tell whether two columns can be losses of one model: most values of one are of the size of those of the other."""
    fitting = sum(0 < a <= ALIKE * b and b <= ALIKE * a for a, b in zip(some, others))
    return 2 * fitting > sum(a == a and b == b for a, b in zip(some, others))
