"""How numbers stand in sentences: which there are, and which values may be written so."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from lmdiag.figures import figure

PLAIN = r"-?\d+(?:,\d{3})*(?:\.\d+)?(?:e-?\d+)?"
NUMBER = rf"{PLAIN}(?!\d|%|[.,]\d|e-?\d)"
PLACE = rf"(?:step|epoch|record)s? {NUMBER}|{NUMBER} (?:tokens|samples)"
WRITTEN = re.compile(rf"(?<![\w./'-]){PLAIN}(?![\w/]*[A-Za-z_(])%?")  # no part of a name: fp16, blocks.1, g5_accuracy


class Number(NamedTuple):
    """A number of a sentence as it is written, and where it stands."""

    written: str
    start: int
    end: int


def numbers_in(text: str) -> Iterator[Number]:
    """Yield the numbers of a sentence that belong to no name."""
    for found in WRITTEN.finditer(text):
        yield Number(found[0], *found.span())


def parsed(written: str) -> float:
    """Return what a written number says; percent are shares."""
    value = float(written.rstrip("%").replace(",", ""))
    return value / 100 if written.endswith("%") else value


def template(words: str) -> re.Pattern[str]:
    """Compile a statement: `<x>` stands for a number, `<x%>` for one of percent, `<@x>` for a place of the log."""
    words = re.sub(r"<@(\w+)>", lambda found: f"(?P<at_{found[1]}>{PLACE})", words)
    words = re.sub(r"<(\w+)%>", lambda found: f"(?P<{found[1]}>{PLAIN}%|[Ll]ess than 1%|[Mm]ore than 99%)", words)
    return re.compile(re.sub(r"(?<!\?P)<(\w+)>", lambda found: f"(?P<{found[1]}>{NUMBER})", words))


def spells(written: str, value: float) -> bool:
    """Tell whether a value may be written so: a count only in full, a measured number rounded to two digits or more.

    >>> spells("1,480", 1483.2), spells("1,480", 1493.0), spells("200", 203), spells("12.5%", 0.1251)
    (True, False, False, True)
    """
    if not math.isfinite(value):
        return False
    if written.endswith("%"):
        shares = (f"{abs(value):,.{decimals}%}" for decimals in (0, 1, 2))
        limits = {"less than 1%": 0 < value < 0.005, "more than 99%": 0.995 <= value < 1}
        return written in shares or limits.get(written.lower(), False)
    if isinstance(value, int) or (float(value).is_integer() and abs(value) < 1000):
        return written in (f"{int(value):,}", f"{float(value)}")
    plain = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 1 else f"{value:.3g}"
    return written in {plain, *(figure(value, digits) for digits in range(2, 7))}


def any_spells(written: str, values: Iterable[float]) -> bool:
    """Tell whether one of the values may be written so."""
    return any(spells(written, value) for value in values)


def rounds_to(written: str, value: float) -> bool:
    """Tell whether a number is a value in two digits, as proposed settings are.

    >>> rounds_to("460", 462.0), rounds_to("462", 462.0)
    (True, False)
    """
    return written == figure(value, 2)
