"""Commas in the numbers of a table: for decimals as much of Europe writes them, or between thousands; decided column by column."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lmdiag.naming import spelling
from lmdiag.patterns import lazy
from lmdiag.readers.tables.growing_column import GrowingColumn

Numbers = dict[str, GrowingColumn]
Words = dict[str, tuple[list[int], list[str]]]

EITHER = lazy(r"\s*[-+]?\d{1,3},\d{3}\s*")  # 4,941: a loss, or thousands of tokens
_DECIMAL = lazy(r"\s*[-+]?\d+,\d+(?:[eE][-+]?\d+)?\s*")
SAMPLED, FEWEST, MOSTLY = 20, 2, 0.5
# Not measured in thousands, all to three decimals
SMALL = ("loss", "ppl", "accuracy", "f1", "auc", "lr", "grad_norm", "bpb", "bpc")


def settle_commas(numbers: Numbers, words: Words, commas: dict[str, list[int]]) -> Iterator[str]:
    """Read the columns that write decimals with a comma, and yield what was decided.

    `commas` says of each column which of its numbers were spelled like 4,941 and read as thousands.
    """
    for name in [*words]:
        if _writes_decimals(numbers, words, commas, name):
            _read_words(numbers, words, commas, name)
            yield f'"{name}" writes decimals with a comma: 2,5 was read as 2.5'
    for name, either in [*commas.items()]:
        if len(either) == len(numbers[name]) and spelling(name).name.rpartition("/")[2] in SMALL:
            _divide(numbers, commas.pop(name), name)
            yield f'"{name}" writes decimals with a comma, all to three digits: 2,500 was read as 2.5'
        else:
            yield f'"{name}" writes thousands with a comma: 2,500 was read as 2500'
    commas.clear()


def _writes_decimals(numbers: Numbers, words: Words, commas: dict[str, list[int]], name: str) -> bool:
    """Tell whether most words of a column are decimals, and none of its numbers has a point."""
    said = words[name][1]
    if not any(map(_DECIMAL.fullmatch, said[:SAMPLED])):
        return False
    decimals = sum(1 for word in said if _DECIMAL.fullmatch(word))
    plain = np.delete(numbers[name].joined({})[1] if name in numbers else np.empty(0), commas.get(name, []))
    pointed = plain[np.isfinite(plain)] % 1 != 0
    return decimals >= FEWEST and decimals > MOSTLY * len(said) and not pointed.any()


def _divide(numbers: Numbers, places: list[int], name: str) -> None:
    rows, values = numbers[name].joined({})
    values = values.copy()
    values[places] /= 1000
    numbers[name] = GrowingColumn([(rows, values)], len(rows))


def _read_words(numbers: Numbers, words: Words, commas: dict[str, list[int]], name: str) -> None:
    """Move the words of a column that are decimals to its numbers."""
    if name in commas:
        _divide(numbers, commas.pop(name), name)
    at, said = words[name]
    found = [(row, float(word.replace(",", "."))) for row, word in zip(at, said) if _DECIMAL.fullmatch(word)]
    left = [(row, word) for row, word in zip(at, said) if not _DECIMAL.fullmatch(word)]
    read = GrowingColumn()
    for row, value in found:
        read.add(row, value)
    parts = [column.joined({}) for column in (numbers.get(name), read) if column]
    numbers[name] = GrowingColumn(parts, sum(len(rows) for rows, _ in parts))
    del words[name]
    if left:
        words[name] = [row for row, _ in left], [word for _, word in left]
