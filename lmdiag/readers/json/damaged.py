"""What is whole in a text of JSON that is torn in front, in the middle or behind, and where it is torn."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from lmdiag.patterns import lazy
from lmdiag.readers.json.printed import repaired
from lmdiag.readers.tables.rows import flat
from lmdiag.sources.decoding import as_text

RECORD_START = lazy(r"\{\s*[\"']")
MOST_LOOKED_AT, MOST_LOOKS = 1 << 24, 4  # characters looked at in vain, as many in any text, so many times a long one
COST_OF_NESTING = 1 << 16  # in such characters
SMALL_PIECE, LONGEST_TOKEN = 1 << 10, 64
LONGEST_KEY = 100
FEWEST_BESIDE = 2  # records behind each other in a list
_KEY_BEFORE = lazy(r"[\"']([^\"']*)[\"']\s*:\s*$")
_BESIDE = lazy(r"[\s,]*")
_SIBLINGS = lazy(rb"\}\s*,\s*\{\s*[\"']")
_NEXT_RECORD = lazy(r"\s*,\s*")
_TOKEN = lazy(
    r'\s+|"(?:[^"\\\n]|\\.)*+"|[\[\]{}:,]|(?:[-+]?[\d.]+(?:[eE][-+]?\d+)?|true|false|null|NaN|-?Infinity)(?![\w.])'
)
_CLOSING = {"[": "]", "{": "}"}

_decoder = json.JSONDecoder()


class Found(Struct, frozen=True):
    """A whole object in a damaged text; `key` is the name before it, where it is the value of another object."""

    start: int
    end: int
    record: dict[str, Any]
    key: str


def whole_records(text: str, start: int = 0) -> Iterator[Found]:
    """Yield the objects in a repaired text that are whole, and in no other that is."""
    position, budget = start, max(MOST_LOOKED_AT, MOST_LOOKS * len(text))
    for begin in (m.start() for m in RECORD_START.finditer(text, start)):
        if begin < position:
            continue
        record, cost = _decoded(text, begin)
        if record is not None:
            position = begin + cost
            before = _KEY_BEFORE.search(text, max(0, begin - LONGEST_KEY), begin)
            yield Found(begin, position, record, before[1] if before else "")
        else:
            budget -= cost
        if budget < 0:
            return


def _decoded(text: str, begin: int) -> tuple[dict[str, Any] | None, int]:
    """Return the object that begins here and its length; of one that is torn None, and how many characters were looked at.

    An error of `json` counts the lines before it, so a torn object is looked at in a small piece of the text first.
    """
    looked, size = 0, SMALL_PIECE
    while True:
        piece = text[begin : begin + size]
        try:
            record, end = _decoder.raw_decode(piece)
        except RecursionError:
            return None, looked + COST_OF_NESTING
        except ValueError as error:
            looked += len(piece)
            inside = getattr(error, "pos", 0) < len(piece) - LONGEST_TOKEN and not str(error).startswith("Unterminated")
            if inside or len(piece) < size:
                return None, looked
            size *= 16
        else:
            return record, end


def parts_of(text: str, start: int = 0) -> Iterator[tuple[int, Found | None]]:
    """Yield the whole objects of a repaired document, and None for what is damaged between them, with their lines."""
    lines = _Lines(text)
    position, first = start, start == 0
    for found in whole_records(text, start):
        if not _is_structure(text[position : found.start], first, last=False):
            yield lines.at(_BESIDE.match(text, position).end()), None  # type: ignore[union-attr]
        yield lines.at(found.start), found
        position, first = found.end, False
    if position > start and not _is_structure(text[position:], first, last=True):
        yield lines.at(_BESIDE.match(text, position).end()), None  # type: ignore[union-attr]


class _Lines:
    """The number of the line at ascending places in a text."""

    def __init__(self, text: str) -> None:
        self._text, self._place, self._line = text, 0, 1

    def at(self, place: int) -> int:
        self._line += self._text.count("\n", self._place, place)
        self._place = place
        return self._line


def _is_structure(gap: str, first: bool, last: bool) -> bool:
    """Tell whether the text between two records is what a document has there: brackets, names, and single values."""
    opened: list[str] = []
    token = ""
    for before, token, _ in _tokens(gap):
        if token in ("[", "{"):
            opened.append(token)
        elif token in ("]", "}") and not opened:
            if first:
                return False
        elif token in ("]", "}"):
            inner = opened.pop()
            if _CLOSING[inner] != token or (inner == "{" and before != "{"):
                return False
        elif not token:
            return False
    if last:
        return not opened or token in ("[", "{")
    return token in {"": ("", ",", "]", "}"), "[": ("[", ","), "{": (":",)}[opened[-1] if opened else ""]


def _tokens(text: str) -> Iterator[tuple[str, str, int]]:
    """Yield the token before, each token of JSON, and where it ends; at last an empty one where the text is none."""
    at, before = 0, ""
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            yield before, "", at
            return
        at = match.end()
        if not match[0].isspace():
            yield before, match[0], at
            before = match[0]


def closed(text: str) -> Any:
    """Return what a repaired document says that ends too early or is damaged: all values before that; None where it says nothing.

    >>> closed('{"loss": [3.5, 2.5], "val_loss": [3.6, 2.')
    {'loss': [3.5, 2.5], 'val_loss': [3.6]}
    """
    opened: list[str] = []
    good = name_begins = 0  # behind the last whole value, and where that value may turn out to be a name
    for _, token, end in _tokens(text):
        if token in ("[", "{"):
            opened.append(token)
        elif token in ("]", "}"):
            if not opened or _CLOSING[opened.pop()] != token:
                break
        elif token == ":":
            good = name_begins
        elif not token or (end == len(text) and token != ","):
            break
        if token not in (":", ","):
            name_begins, good = good, end
            if not opened:
                break
    opened = []
    for _, token, _ in _tokens(text[:good]):
        if token in ("[", "{"):
            opened.append(token)
        elif token in ("]", "}"):
            opened.pop()
    try:
        return json.loads(text[:good] + "".join(_CLOSING[bracket] for bracket in reversed(opened)))
    except (ValueError, RecursionError):
        return None


def is_torn_list(head: bytes) -> bool:
    """Tell whether a text that does not begin like JSON is mostly records of a list of them, torn in front."""
    if b"loss" not in head or len(_SIBLINGS.findall(head)) < FEWEST_BESIDE:
        return False
    text = repaired(as_text(head))
    found = list(whole_records(text))
    beside = sum(_NEXT_RECORD.fullmatch(text, a.end, b.start) is not None for a, b in zip(found, found[1:]))
    with_loss = sum(any("loss" in name for name in flat(record.record)) for record in found)
    length = sum(record.end - record.start for record in found)
    return beside >= FEWEST_BESIDE and 2 * beside >= len(found) <= 2 * with_loss and 2 * length >= len(text)
