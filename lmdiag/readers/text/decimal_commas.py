"""Commas in printed numbers: for decimals as much of Europe writes them, or between thousands; decided name by name."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from lmdiag.languages import english
from lmdiag.patterns import lazy
from lmdiag.readers.tables.column_names import metric_of
from lmdiag.readers.text.names import heading

LOOKED_AT, BEFORE = 1 << 14, 60
FEWEST, POINTS_PER_COMMA, LARGEST_LOSS = 2, 0.2, 30
_ANY = lazy(r"[=:： ]-?\d+,\d")  # quick to look for, and rare
_NUMBER = lazy(r"(?<![\d.,:])(-?\d+)([.,])(\d+)(?!\d|[,.:]\d)")
_NAME = lazy(r"[^\d\n]+$")
# Verlust nach Epoche 3:
_AT_A_PLACE = lazy(r"([^\d\n|,;:]+?) (?:nach|dopo|après|tras|após|after|at) [^\d\n]{2,12}\d+\s*[:=]\s*$")
_SMALL = ("loss", "accuracy", "lr", "bpb", "bpc", "f1")  # never in thousands
_MOSTLY_SMALL = (*_SMALL, "ppl", "grad_norm")
Parts = Sequence[tuple[str, str]]  # what stands before and behind the comma of each number


def decimal_names(text: str) -> frozenset[str]:
    """Return the names whose numbers have a comma where others have a point.

    >>> sorted(decimal_names("loss: 4,512 tokens: 1,024\\nloss: 4,127 tokens: 2,048"))
    ['loss']
    >>> decimal_names("step 1,000 loss 2.5\\n" * 3)
    frozenset()
    """
    part = text[:LOOKED_AT]
    if not _ANY.search(part):
        return frozenset()
    commas: dict[str, list[tuple[str, str]]] = {}
    points: dict[str, int] = {}
    for match in _NUMBER.finditer(part):
        name = _name(part, match)
        if name and match[2] == ",":
            commas.setdefault(name, []).append((match[1].lstrip("-"), match[3]))
        elif name:
            points[name] = points.get(name, 0) + 1
    sparse = {n: found for n, found in commas.items() if points.get(n, 0) <= POINTS_PER_COMMA * len(found)}
    measures = {name: metric_of(name).rpartition("/")[2] for name in sparse}
    sure = {name for name, found in sparse.items() if measures[name] and are_decimals(measures[name], found)}
    return frozenset(n for n, found in sparse.items() if n in sure or (sure and are_decimals(measures[n], found, True)))


def are_decimals(measure: str, numbers: Parts, beside_others: bool = False) -> bool:
    """Tell whether the numbers of one name are decimals; `beside_others` that sure ones stand in the same log.

    >>> are_decimals("loss", [("4", "512"), ("4", "127")]), are_decimals("tokens", [("1", "024"), ("2", "048")])
    (True, False)
    """
    if len(numbers) < FEWEST:
        return False
    if any(len(behind) != 3 or len(before) > 3 or before == "0" for before, behind in numbers):  # no thousands
        return True
    small = measure in (_MOSTLY_SMALL if beside_others else _SMALL)
    return small and all(int(before) <= LARGEST_LOSS or measure == "ppl" for before, _ in numbers)


def with_points(text: str, names: Collection[str]) -> str:
    """Return a text with decimal points for the commas behind some names.

    >>> with_points("10:00:01,250 epoch 1, loss 4,512 tokens 1,024", {"loss"})
    '10:00:01,250 epoch 1, loss 4.512 tokens 1,024'
    >>> with_points("Verlust nach Epoche 3: 4,512", {"loss"})
    'Verlust nach Epoche 3: 4.512'
    """

    def point(match: re.Match[str]) -> str:
        return f"{match[1]}.{match[3]}" if match[2] == "," and _name(text, match) in names else match[0]

    return _NUMBER.sub(point, text)


def _name(text: str, number: re.Match[str]) -> str:
    """Return what a number is called; "" where it counts steps or has no name."""
    start, end = max(0, number.start() - BEFORE), number.start()
    placed = _AT_A_PLACE.search(text, start, end) if text[end - 2 : end - 1] in ":=" else None
    between = placed or _NAME.search(text, start, end)
    found = heading(english(f"{placed[1]}: " if placed else between[0])) if between else None
    return found.key if found and found.kind == "metric" else ""
