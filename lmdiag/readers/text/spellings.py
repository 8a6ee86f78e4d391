"""Spellings that are brought to a common one before a piece is taken apart: other languages, clocks, numbers before their word, tensors."""

from __future__ import annotations

import re
from functools import lru_cache

from lmdiag.readers.numbers import unwrapped
from lmdiag.readers.text.languages import english
from lmdiag.readers.text.patterns import lazy

_NUMBERED = lazy(r"第\s*(\d+)\s*(?:个\s*)?(轮|步|epoch|step)")
_CLOCK = lazy(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?)?|\b\d+:\d\d(?::\d\d)?(?:[.,]\d+)?\b")
_MINUTES = lazy(r"(?<![\w.])(?:(\d+)h ?)?(\d+)m ?(\d+(?:\.\d+)?)s\b")
_COUNT_FIRST = lazy(r"(?<![\w.])(?:\d+-)?(\d+)(epoch|batch|step|iter)\b")
_GLUED = lazy(r"\d(?:m ?\d|epoch|batch|step|iter)")  # quick to look for, and rare
_LENGTH_OF_AN_EPOCH = lazy(r"\b(?:1|one) epoch\s*=\s*\d[\d,]*(?![\d.])", re.IGNORECASE)
_BAR = lazy(r"\d+%\|[^|]*\|\s*[\d.]+[kMG]?/[\d.]+[kMG]?\s*\[[\d:]+<[\d:?]+(?:,\s*[^,=\]]*)?")
_NORM = lazy(r"\|{1,2}(?:g|grad|gradient|g_param|grads)\|{1,2}")
_AT_A_PLACE = lazy(
    r" (?:at|after|for|in|on) (?:epoch|step|iter|update|batch|Epoch|Step|Iter)"
)  # quick to look for, and rare
_COLON_PLACE = lazy(r"\[ *\d+ *:")
_MEASURE = r"(?:[A-Za-z]+ ){0,2}(?:loss|cost|error|perplexity|ppl|accuracy)"
_MEASURE_AT = lazy(
    rf"\b({_MEASURE})\s+(?:at|after|for|in|on)\s+((?:epoch\s*[#:]?\s*\d+,?\s*(?:and\s+)?)?"
    r"(?:step|iteration|iter|update|batch|epoch)\s*[#:]?\s*\d+)(?=\s*(?:[:=]|is\b|was\b))",
    re.IGNORECASE,
)
_BRACKETS = lazy(r"\[(\d+)(?:/\d+)?(?:\]\s*\[|,\s+)\s*(\d+)(?:/(\d+))?\](?=[\s:]*\w)")
_PLACE_IN_BRACKETS = lazy(r"(poch\W{0,3}\d+(?:/\d+)?\]?\s*(?:[Bb]atch|[Ss]tep|[Ii]ter)?\s*\[)\s*(\d+)\s*:\s*(\d+)\s*\]")
_TIMM = lazy(r"Train: (\d+)(?=(?:/\d+)? \[\s*\d+/\d+)")


@lru_cache(maxsize=8)  # a line is looked at more than once
def rewritten(piece: str) -> str:
    """Return a piece with the words and signs that the names of numbers are looked up with.

    >>> rewritten("第 3 轮 完成，验证损失：2.5"), rewritten("3epoch:train:1-50batch: loss=2.5  |g| 0.7  time 1m 5s")
    ('epoch 3  done , val loss: 2.5', ' epoch 3:train: batch 50: loss=2.5   grad_norm  0.7  time 65s')
    """
    if not piece.isascii():
        piece = _NUMBERED.sub(lambda m: f"{'step' if m[2] in '步step' else 'epoch'} {m[1]}", piece)
        piece = english(piece)
    if ":" in piece:
        piece = _CLOCK.sub(lambda m: "," if m[0].count(":") > 1 or "-" in m[0] else m[0], piece)
    if "%|" in piece:
        piece = _BAR.sub(",", piece)
    if "|g" in piece:
        piece = _NORM.sub(" grad_norm ", piece)
    if "1 epoch" in piece or "1 Epoch" in piece or "ne epoch" in piece:
        piece = _LENGTH_OF_AN_EPOCH.sub(",", piece)
    if "(" in piece:
        piece = unwrapped(piece)
    if "[" in piece:
        piece = _in_brackets(piece)
    if _AT_A_PLACE.search(piece):
        piece = _MEASURE_AT.sub(r"\2 \1", piece)
    if _GLUED.search(piece):
        piece = _MINUTES.sub(_seconds, _COUNT_FIRST.sub(r" \2 \1", piece))
    return piece


def _in_brackets(piece: str) -> str:
    """Name the places that brackets at the start of a piece hold: `[3/10][200/938] loss 2.5`, `[3,  2000] loss: 2.5`."""
    found = _BRACKETS.match(piece)
    if found:
        total = f"/{found[3]}" if found[3] else ""
        return f"epoch {found[1]} step {found[2]}{total}, {piece[found.end() :].lstrip(' :')}"
    if "poch" in piece and _COLON_PLACE.search(piece):
        piece = _PLACE_IN_BRACKETS.sub(r"\1\2/\3]", piece)
    return _TIMM.sub(r"epoch \1", piece) if piece.startswith("Train: ") else piece


def _seconds(match: re.Match[str]) -> str:
    return f"{int(match[1] or 0) * 3600 + int(match[2]) * 60 + float(match[3]):g}s"
