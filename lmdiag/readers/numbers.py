"""Numbers as programs write them: what they look like, and what their value is."""

from __future__ import annotations

import re
from typing import Any

from lmdiag.metrics import TIME_UNITS, unit_scale
from lmdiag.patterns import lazy

# 1,234.5e-6 or nan or -inf, also as C and Fortran write these (1.#IND, nan.0, -nan(ind)); a comma only between thousands.
NUM = (
    r"[-+]?(?:1\.#(?:IND|QNAN|SNAN|INF)0*|(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d*)?(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?"
    r"|(?:nan|NaN|NAN|inf|Inf|INF|[Ii]nfinity|INFINITY)\b(?:\.0\b|\((?:s?nan|ind)\))?)"
)
SUFFIXES = {"": 1.0, "K": 1e3, "k": 1e3, "M": 1e6, "G": 1e9, "B": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}
LARGEST_WHOLE = 2**53  # up to here the rows, which hold numbers of 64 bits with a point, tell two whole ones apart
_THOUSANDS = lazy(r"[-+]?\d{1,3}(,\d{3})+(\.\d*)?")
_WRAPPED = lazy(  # torch, numpy, jax, mlx, TensorFlow
    rf"(?:\b[a-z]{{1,5}}\.)?\b(?:[Tt]ensor|[Aa]rray|DeviceArray|(?:float|int)\d+|bfloat16)\(\s*\[*({NUM})\s*\]*\s*"
    rf"(?:,\s*[a-z_]+=[^()]*(?:\([^()]*\)[^()]*)*)?\)|<tf\.Tensor: [^<>]*numpy=({NUM})>"
)
_MARKS = ("ensor(", "rray(", "float", "int64(", "int32(", "tf.Tensor: ")
_NOT_FINITE = lazy(
    r"([-+]?)(?:(nan|1\.#(?:ind|qnan|snan))|(?:inf|infinity|1\.#inf))(?:0*|\.0|\((?:s?nan|ind)\))", re.IGNORECASE
)

MARKS = " *`'\"~≈▼▲▾▴↑↓→←⬇⬆✓✔★☆✗"  # beside a number: better, worse, best
_MISSING = lazy(r"(?i)(?:-*|—|–|None|NA|<NA>|NaT|null|n/a|#na#|no log|\?|…|\.\.\.?)$")
_WITH_UNIT = lazy(rf"({NUM})\s*([A-Za-zµ]+(?:/[A-Za-z]+)?)$")
_CLOCK = lazy(r"(?:(\d+):)?(\d+):(\d\d(?:\.\d+)?)$")
_SPAN = lazy(r"(?:(\d+)h)? ?(?:(\d+)m(?:in)?)? ?(?:(\d+(?:\.\d+)?)s)$")
_FRACTION = lazy(r"(?i)(?:\[|(?:epoch|step|iter\w*)\W*)?(\d+)(?:/(\d+))?\]?$")


def number(word: str, suffixed: bool = False) -> float:
    """Return the value of a word that `NUM` matched, `suffixed` with a letter for thousands, millions, …, or with none.

    Raises ValueError for other words.

    >>> number("1,234.5"), number("-nan"), number("5.24M", suffixed=True)
    (1234.5, nan, 5240000.0)
    >>> number("-1.#IND"), number("-inf.0")
    (nan, -inf)
    """
    if suffixed and word[-1:].isalpha() and word[-1] in SUFFIXES:
        return number(word[:-1]) * SUFFIXES[word[-1]]
    try:
        return float(word.replace(",", ""))
    except ValueError:
        if (value := _not_finite(word)) is None:
            raise
        return value


def unwrapped(piece: str) -> str:
    """Return a piece with the numbers of printed tensors and arrays in place of these.

    >>> unwrapped("loss: tensor(2.31, device='cuda:0', grad_fn=<NllLossBackward0>) acc: np.float32(0.5)")
    'loss: 2.31 acc: 0.5'
    """
    return _WRAPPED.sub(lambda m: m[1] or m[2], piece) if any(mark in piece for mark in _MARKS) else piece


def cell_number(word: str) -> float | None:
    """Return the number that a cell of a table holds, with any spelling of `%`, NaN and printed tensors; None if it holds another word.

    >>> cell_number(" 1,234.5 "), cell_number("12%"), cell_number("-nan(ind)"), cell_number("2,5"), cell_number("2x")
    (1234.5, 0.12, nan, None, None)
    >>> cell_number("tensor(2.5, device='cuda:0')"), cell_number("np.float32(nan)"), cell_number("tensor([1., 2.])")
    (2.5, nan, None)
    """
    try:
        if "_" not in word:  # 1_000 is none, to Python only
            return float(word)
    except ValueError:
        pass
    word = word.strip()
    if word.endswith("%"):
        share = cell_number(word[:-1])
        return None if share is None else share / 100
    if _THOUSANDS.fullmatch(word):
        return number(word)
    if "(" in word and (inside := unwrapped(word)) != word:
        return cell_number(inside)
    return _not_finite(word)


def cell_value(word: str, of_memory: bool = False) -> float | str | None:
    """Return the number in a cell of a printed table, times in seconds and sizes in bytes; None where it is missing, else the word.

    >>> cell_value("2,345 ▼"), cell_value("1.2k"), cell_value("00:01"), cell_value("50 ms"), cell_value("3/10")
    (2345.0, 1200.0, 1.0, 0.05, 3.0)
    >>> cell_value("2.1G"), cell_value("2.1G", of_memory=True), cell_value("--"), cell_value("best")
    (2100000000.0, 2254857830.4, None, 'best')
    """
    try:
        return float(word)
    except ValueError:
        word = word.strip(MARKS)
    if found := _CLOCK.match(word) or _SPAN.match(word):
        hours, minutes, seconds = (float(part or 0) for part in found.groups())
        return 3600 * hours + 60 * minutes + seconds
    if _MISSING.match(word):
        return None
    if (value := cell_number(word)) is not None:
        return value
    if found := _WITH_UNIT.match(word):
        factor = unit_factor(found[2], of_memory)
        return word if factor is None else number(found[1]) * factor
    found = _FRACTION.match(word)
    return float(found[1]) if found else word


def unit_factor(unit: str, of_memory: bool = True) -> float | None:
    """Return what a number with a unit behind it is multiplied with, None for a word that is no unit."""
    size = unit_scale("mem_bytes", unit)
    if size != 1 and (of_memory or len(unit) > 1):
        return size
    return 1.0 if "/" in unit else SUFFIXES.get(unit) or TIME_UNITS.get(unit)


def _not_finite(word: str) -> float | None:
    """Return NaN or an infinity for a word that spells it in a way of its own, else None."""
    match = _NOT_FINITE.fullmatch(word)
    return float("nan" if match[2] else match[1] + "inf") if match else None


def counted(number: Any) -> int:
    """Return a step, or a time in ms, as a whole number; raise ValueError where it is too large for one.

    >>> counted("12")
    12
    """
    whole = int(number)
    if abs(whole) > LARGEST_WHOLE:
        raise ValueError(f"{number} is too large")
    return whole
