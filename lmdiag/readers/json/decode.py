"""Decode lines of JSON as they are found in real logs: with bare NaN, torn, glued together, or with text between."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lmdiag.patterns import lazy

BARE_WORD = lazy(r"(?<=[:\[,])(\s*)([-+]?)(nan|inf(?:inity)?)(?=\s*[,}\]])", re.IGNORECASE)
TRAILING_COMMA = lazy(r",(\s*[}\]])")
NUMBER_WITHOUT_DIGIT = lazy(r"(?<=[:\[,])(\s*)([-+]?)(\.\d+|\d+\.(?=[eE,}\]\s]))")
RECORD_START = lazy(r'\{\s*"')
MOST_TRIES = 200  # starts in a line that are none; each costs a look at all that follows
MOST_LOOKED_AT, MOST_LOOKS = 1 << 24, 4  # characters looked at in vain, as many in any line, so many times a long one
LOUD_WORD = {"nan": "NaN", "inf": "Infinity", "infinity": "Infinity"}

_decoder = json.JSONDecoder()
_pairs_decoder = json.JSONDecoder(object_pairs_hook=lambda pairs: _Pairs(pairs))


class _Pairs(list[tuple[str, Any]]):
    """The pairs of one object, doubled names included."""


@dataclass(frozen=True)
class Lost:
    """A piece of a line that could not be decoded, and why."""

    reason: str


def decode(line: str) -> dict[str, Any] | list[dict[str, Any] | Lost]:
    """Decode one line: the record on it, or else the list of all records found and all pieces lost.

    >>> decode('{"step": 1, "loss": nan}')
    [{'step': 1, 'loss': nan}]
    >>> decode('{"step": 1, "lo{"step": 2}{"step": 3}')
    [Lost(reason='a torn record'), {'step': 2}, {'step': 3}]
    """
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return list(_rescued(line))
    if type(record) is not dict:
        return [Lost("not a record but a bare value")]
    if len(record) != line.count('":'):
        lost = _doubled(line)
        if lost:
            return [*lost, record]
    return record


def _rescued(line: str) -> Iterator[dict[str, Any] | Lost]:
    """Find the records in a line that is not one JSON object."""
    text = line.replace("\0", "").strip()
    if not text:
        yield Lost("a run of NUL bytes")
        return
    try:
        record = json.loads(_repaired(text))
    except (ValueError, RecursionError):
        yield from cut_apart(text)
        return
    yield record if isinstance(record, dict) else Lost("not a record but a bare value")


def _repaired(text: str) -> str:
    """Write what Python, C and JavaScript print for non-finite and shortened numbers as JSON that Python reads."""
    text = BARE_WORD.sub(lambda m: f"{m[1]}{'-' if m[2] == '-' else ''}{LOUD_WORD[m[3].lower()]}", text)
    text = NUMBER_WITHOUT_DIGIT.sub(
        lambda m: (
            f"{m[1]}{'-' if m[2] == '-' else ''}0{m[3].rstrip('.')}"
            if m[3][0] == "."
            else f"{m[1]}{m[2].strip('+')}{m[3]}0"
        ),
        text,
    )
    return TRAILING_COMMA.sub(r"\1", text)


def cut_apart(text: str) -> Iterator[dict[str, Any] | Lost]:
    """Cut a line at each start of a record, and decode what is whole."""
    text = _repaired(text)
    position, torn, tries = 0, False, MOST_TRIES
    budget = max(MOST_LOOKED_AT, MOST_LOOKS * len(text))
    for start in [m.start() for m in RECORD_START.finditer(text)]:
        if start < position:
            continue
        try:
            record, end = _decoder.raw_decode(text, start)
        except (ValueError, RecursionError) as error:
            torn, tries = True, tries - 1
            budget -= getattr(error, "pos", start) - start
            if not tries or budget < 0:
                break
            continue
        if torn or text[position:start].strip(" ,\t"):
            yield Lost("a torn record" if torn else "text before a record")
        torn, position = False, end
        yield record
    rest = text[position:].strip(" ,\t")
    if rest:
        yield Lost("a torn record" if rest.lstrip("[ ").startswith("{") else "not a record of JSON")


def _doubled(line: str) -> list[Lost]:
    """Name the keys that one object holds twice: the later value is the one that counts."""
    counts = Counter(name for name, _ in _pairs_decoder.decode(line))
    return [
        Lost(f'"{name}" stands twice in the record; the later value counts')
        for name in sorted(counts)
        if counts[name] > 1
    ]
