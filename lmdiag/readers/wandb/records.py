"""The transaction log of Weights & Biases: blocks of 32 KiB with checked chunks, and the records in them.

A chunk has 7 bytes in front: CRC-32 of what follows the length, length, type (whole, first, middle, last part of a
record). The framing is that of LevelDB's log; the checksum is plain CRC-32.
"""

from __future__ import annotations

import json
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from lmdiag.readers.tensorboard.wire import BYTES, VARINT, BadWire, fields
from lmdiag.readers.trackers.wire_values import text
from lmdiag.run import Skipped

MAGIC = b":W&B"
_FILE_HEADER, _CHUNK_HEADER, _BLOCK = 7, 7, 32768
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
# An item with a key of one part and a number below 128 digits: nearly all. What follows is the next one, or the step.
_NUMBER_ITEM = re.compile(
    rb"\x0a[\x80-\xff]{0,9}[\0-\x7f][\x0a\x12](.)([\x20-\x7e]+)\x82\x01(.)(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)(?=[\x0a\x12]|$)",
    re.DOTALL,
)
_HEADER = struct.Struct("<IHB").unpack_from


def records(
    data: bytes, skipped: list[Skipped], begin: int = _FILE_HEADER, checksum: Callable[[bytes], int] = zlib.crc32
) -> Iterator[bytes]:
    """Yield every sound record from byte `begin` on; add what is damaged to `skipped` and go on with the next block."""
    parts: list[bytes] = []
    at, size = begin, len(data)
    while at < size:
        left = _BLOCK - at % _BLOCK
        if left < _CHUNK_HEADER:
            at += left
            continue
        end = size + 1
        if size - at >= _CHUNK_HEADER:
            crc, length, kind = _HEADER(data, at)
            end = at + _CHUNK_HEADER + length
        unsound = end > size or not _WHOLE <= kind <= _LAST or length + _CHUNK_HEADER > left
        if unsound or checksum(data[at + 6 : end]) != crc:
            cut = size - at < _CHUNK_HEADER or (
                end > size and _WHOLE <= kind <= _LAST and length + _CHUNK_HEADER <= left
            )
            _skip(skipped, at, size if cut else min(at + left, size), "is cut off" if cut else "is damaged")
            parts, at = [], size if cut else at + left
            continue
        chunk = data[at + _CHUNK_HEADER : end]
        if kind == _WHOLE and not parts:  # nearly all
            yield chunk
        elif kind in (_WHOLE, _FIRST):
            if parts:
                _skip(skipped, at, at, "has no end")
            parts = [chunk]
            if kind == _WHOLE:
                yield chunk
                parts = []
        elif parts:
            parts.append(chunk)
            if kind == _LAST:
                yield b"".join(parts)
                parts = []
        elif kind == _LAST:
            _skip(skipped, at, end, "has no beginning")
        at = end
    if parts:
        _skip(skipped, at, at, "is cut off")


def _skip(skipped: list[Skipped], at: int, end: int, what: str) -> None:
    skipped.append(Skipped(0, f"the record at byte {at:,} {what}" + (f": {end - at:,} bytes" if end > at else "")))


def items(record: bytes, start: int, end: int, repeated: int = 1) -> dict[str, Any]:
    """Return the {key: value} of the items in a message; nested keys are joined with a dot.

    An item has its key in field 1, or its parts in field 2, and the value as JSON text in field 16.
    """
    found: dict[str, Any] = {}
    at = start
    while repeated == 1 and (plain := _NUMBER_ITEM.match(record, at, end)):
        key, digits = plain[2], plain[4]
        if plain[1][0] != len(key) or plain[3][0] != len(digits):
            break
        found[text(key)] = int(digits) if digits.isdigit() else float(digits)
        at = plain.end()
    for number, kind, a, b in fields(record, at, end):
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
