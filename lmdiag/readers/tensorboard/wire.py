"""The protobuf wire format, as much of it as log files need: numbered fields in a row of bytes."""

from __future__ import annotations

from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_LONGEST_VARINT = 10
_TO_SIGNED = 1 << 64


class BadWire(ValueError):
    """The bytes are not a protobuf message."""


def varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the unsigned number that starts at `at`, and where it ends.

    >>> varint(b"\\xac\\x02", 0)
    (300, 2)
    """
    number = 0
    for width in range(_LONGEST_VARINT):
        if at + width >= len(data):
            raise BadWire(f"a number is cut off at byte {at}")
        byte = data[at + width]
        number |= (byte & 0x7F) << (7 * width)
        if byte < 0x80:
            return number & (_TO_SIGNED - 1), at + width + 1
    raise BadWire(f"a number at byte {at} never ends")


def signed(number: int) -> int:
    """Return an unsigned 64-bit number as the signed one it stands for.

    >>> signed(2**64 - 1)
    -1
    """
    return number - _TO_SIGNED if number >> 63 else number


def fields(data: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[int, int, int, int]]:
    """Yield every field of the message in data[start:end] as (number, wire type, a, b).

    A varint comes as (value, 0); everything else as the span [a, b) of its bytes in `data`.

    >>> list(fields(b"\\x08\\x05\\x12\\x02hi"))
    [(1, 0, 5, 0), (2, 2, 4, 6)]
    """
    at, end = start, len(data) if end is None else end
    while at < end:
        key, at = varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == VARINT:
            value, at = varint(data, at)
            if at > end:
                raise BadWire(f"field {number} runs over the end of its message")
            yield number, kind, value, 0
            continue
        size = {FIXED64: 8, FIXED32: 4}.get(kind)
        if size is None:
            if kind != BYTES:
                raise BadWire(f"field {number} has the unknown wire type {kind}")
            size, at = varint(data, at)
        if at + size > end:
            raise BadWire(f"field {number} runs over the end of its message")
        yield number, kind, at, at + size
        at += size
