"""Logs of programs that write numbers as much of Europe does: `loss: 2,31`."""

from __future__ import annotations

import re

from lmdiag.patterns import lazy

LOOKED_AT = 1 << 14
FEWEST = 2
NOTE = "the log writes decimals with a comma: 2,5 was read as 2.5"
_NAMED = lazy(
    r"(?:loss|verlust|perte|p[ée]rdida|perda|perdita|потери|cost|ppl|perplexity|acc\w*)\b[^\d\n]{0,24}-?\d+,\d+(?![\d,.])",
    re.IGNORECASE,
)
_ANY = lazy(r"[=: ]-?\d+,\d")  # quick to look for, and rare
_POINT = lazy(r"(?<![\d.:,])\d+\.\d+(?![\d.]*\.\d)")
_COMMA = lazy(r"(?<![\d.,:])(-?\d+),(\d+)(?![\d,.]|:)")
POINTS_PER_COMMA = 0.2


def has_decimal_commas(text: str) -> bool:
    """Tell whether the losses of a text have a comma where others have a point.

    Numbers such as 1,234 are thousands where the log has decimals with a point as well.

    >>> has_decimal_commas("epoch 1 loss 4,512\\nepoch 2 loss 4,127"), has_decimal_commas("step 1,000 loss 2.5\\n" * 3)
    (True, False)
    """
    part = text[:LOOKED_AT]
    found = sum(1 for _ in _NAMED.finditer(part)) if _ANY.search(part) else 0
    return found >= FEWEST and sum(1 for _ in _POINT.finditer(part)) <= POINTS_PER_COMMA * found


def with_points(text: str) -> str:
    """Return a text with decimal points for commas.

    >>> with_points("10:00:01,250 epoch 1, loss 4,512")
    '10:00:01,250 epoch 1, loss 4.512'
    """
    return _COMMA.sub(r"\1.\2", text)
