"""The transaction log of Weights & Biases: blocks of 32 KiB with checked chunks, and the records in them.

A chunk has 7 bytes in front: CRC-32 of what follows the length, length, type (whole, first, middle, last part of a
record). The framing is that of LevelDB's log; the checksum is plain CRC-32.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from typing import Any

from lmdiag.readers.tensorboard.wire import BYTES, VARINT, BadWire, fields
from lmdiag.run import Skipped

MAGIC = b":W&B"
_FILE_HEADER, _CHUNK_HEADER, _BLOCK = 7, 7, 32768
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


def records(data: bytes, skipped: list[Skipped]) -> Iterator[bytes]:
    """Yield every sound record; add what is damaged to `skipped` and go on with the next block."""
    parts: list[bytes] = []
    at = _FILE_HEADER
    while at < len(data):
        left = _BLOCK - at % _BLOCK
        if left < _CHUNK_HEADER:
            at += left
            continue
        chunk, kind, end = _chunk(data, at, left)
        if chunk is None:
            cut = end > len(data) or len(data) - at < _CHUNK_HEADER
            _skip(skipped, at, len(data) if cut else min(at + left, len(data)), "is cut off" if cut else "is damaged")
            parts, at = [], len(data) if cut else at + left
            continue
        if kind in (_WHOLE, _FIRST) and parts:
            _skip(skipped, at, at, "has no end")
        if kind in (_MIDDLE, _LAST) and not parts:
            if kind == _LAST:
                _skip(skipped, at, end, "has no beginning")
        else:
            parts = [chunk] if kind in (_WHOLE, _FIRST) else [*parts, chunk]
            if kind in (_WHOLE, _LAST):
                yield b"".join(parts)
                parts = []
        at = end
    if parts:
        _skip(skipped, at, at, "is cut off")


def _chunk(data: bytes, at: int, left: int) -> tuple[bytes | None, int, int]:
    """Return the chunk at `at`, its type and its end; None if it is not sound."""
    if len(data) - at < _CHUNK_HEADER:
        return None, 0, len(data)
    crc, length, kind = struct.unpack_from("<IHB", data, at)
    end = at + _CHUNK_HEADER + length
    if kind not in (_WHOLE, _FIRST, _MIDDLE, _LAST) or end > at + left:
        return None, 0, at + left
    sound = end <= len(data) and zlib.crc32(data[at + 6 : end]) == crc
    return (data[at + _CHUNK_HEADER : end] if sound else None), kind, end


def _skip(skipped: list[Skipped], at: int, end: int, what: str) -> None:
    skipped.append(Skipped(0, f"the record at byte {at:,} {what}" + (f": {end - at:,} bytes" if end > at else "")))


def items(record: bytes, start: int, end: int, repeated: int = 1) -> dict[str, Any]:
    """Return the {key: value} of the items in a message; nested keys are joined with a dot.

    An item has its key in field 1, or its parts in field 2, and the value as JSON text in field 16.
    """
    found: dict[str, Any] = {}
    for number, kind, a, b in fields(record, start, end):
        if (number, kind) == (repeated, BYTES):
            parts: list[str] = []
            value: Any = None
            for inner, inner_kind, c, d in fields(record, a, b):
                if inner_kind == BYTES and inner in (1, 2) and d > c:
                    parts.append(record[c:d].decode("utf-8", "replace"))
                elif (inner, inner_kind) == (16, BYTES):
                    value = _json(record[c:d])
            found[".".join(parts)] = value
    return found


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise BadWire("a value is not JSON") from error


def message(record: bytes, start: int, end: int) -> dict[int, Any]:
    """Return the last value of each plain field: numbers as they are, bytes as (start, end).

    >>> message(bytes([8, 5, 18, 2, 104, 105]), 0, 6)
    {1: 5, 2: (4, 6)}
    """
    return {number: a if kind == VARINT else (a, b) for number, kind, a, b in fields(record, start, end)}
