"""Decode lines of JSON as they are found in real logs: with bare NaN, torn, glued together, or with text between."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import Struct

from lmdiag.naming import is_step_name
from lmdiag.readers.json.damaged import RECORD_START, whole_records
from lmdiag.readers.json.printed import repaired

_pairs_decoder = json.JSONDecoder(object_pairs_hook=lambda pairs: _Pairs(pairs))


class _Pairs(list[tuple[str, Any]]):
    """The pairs of one object, doubled names included."""


class Lost(Struct, frozen=True):
    """A piece of a line that could not be decoded, and why; of a record, or of one that is read but for a value."""

    reason: str
    unit: str = "record"


def decode(line: str) -> dict[str, Any] | list[dict[str, Any] | Lost]:
    """Decode one line: the record on it, or else the list of all records found and all pieces lost.

    >>> decode('{"step": 1, "loss": nan}')
    [{'step': 1, 'loss': nan}]
    >>> decode('{"step": 1, "lo{"step": 2}{"step": 3}')
    [Lost(reason='a torn record', unit='record'), {'step': 2}, {'step': 3}]
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


def decode_all(lines: Sequence[str]) -> list[dict[str, Any]] | None:
    """Decode lines at once, as `decode` does one by one, where each is one record and names nothing twice; else None.

    >>> decode_all(['{"step": 1}', '{"step": 2}']), decode_all(['{"step": 1}', '{"step": 2'])
    ([{'step': 1}, {'step': 2}], None)
    """
    text = ",".join(lines)
    try:
        records = json.loads(f"[{text}]")
    except (ValueError, RecursionError):
        return None
    if len(records) != len(lines) or set(map(type, records)) != {dict}:
        return None
    # Halves of records that were torn at a comma fit together again, too: each record must be that of its own line.
    odd = [k for k, (record, line) in enumerate(zip(records, lines)) if len(record) != line.count('":')]
    return records if all(decode(lines[k]) == records[k] for k in odd) else None


def _rescued(line: str) -> Iterator[dict[str, Any] | Lost]:
    """Find the records in a line that is not one JSON object."""
    text = line.replace("\0", "").strip()
    if not text:
        yield Lost("a run of NUL bytes")
        return
    text = repaired(text)
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        yield from _cut_apart(text)
        return
    yield record if isinstance(record, dict) else Lost("not a record but a bare value")


def _cut_apart(text: str) -> Iterator[dict[str, Any] | Lost]:
    """Cut a line at each start of a record, and take what is whole; a part of a torn record is none, but for one with a step."""
    position = 0
    for found in whole_records(text):
        torn = RECORD_START.search(text, position, found.start) is not None
        if found.key and not any(map(is_step_name, found.record)):
            continue
        if torn or text[position : found.start].strip(" ,\t"):
            yield Lost("a torn record" if torn else "text before a record")
        position = found.end
        yield found.record
    rest = text[position:].strip(" ,\t")
    if rest:
        yield Lost("a torn record" if rest.lstrip("[ ").startswith("{") else "not a record of JSON")


def _doubled(line: str) -> list[Lost]:
    """Name the keys that one object holds twice: the later value is the one that counts."""
    counts = Counter(name for name, _ in _pairs_decoder.decode(line))
    return [
        Lost(f'"{name}" stands twice in the record; the later value counts', "value")
        for name in sorted(counts)
        if counts[name] > 1
    ]
