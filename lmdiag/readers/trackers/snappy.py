"""Snappy's format: literal bytes, and copies of what was unpacked before."""

from __future__ import annotations

from lmdiag.readers.tensorboard.wire import BadWire, varint

LARGEST = 1 << 26  # far more than a block of a database has


def uncompressed(packed: bytes) -> bytes:
    """Unpack a block; raise BadWire where it is damaged.

    >>> uncompressed(bytes([8, 0, 97, 6 << 2 | 2, 1, 0]))  # eight bytes: one literal `a`, and seven copied from one before
    b'aaaaaaaa'
    """
    size, at = varint(packed, 0)
    if size > LARGEST:
        raise BadWire("a block unpacks to more than it can hold")
    found = bytearray()
    try:
        while at < len(packed):
            tag, at = packed[at], at + 1
            if tag & 3 == 0:
                length = tag >> 2
                if length >= 60:
                    width = length - 59
                    length, at = int.from_bytes(packed[at : at + width], "little"), at + width
                found += packed[at : at + length + 1]
                at += length + 1
                continue
            width = (0, 1, 2, 4)[tag & 3]
            offset, at = int.from_bytes(packed[at : at + width], "little"), at + width
            length = (tag >> 2) + 1
            if tag & 3 == 1:
                length, offset = (tag >> 2 & 7) + 4, (tag >> 5) << 8 | offset
            start = len(found) - offset
            if not 0 <= start < len(found) or len(found) + length > size:
                raise BadWire("a copy is of what is not there")
            for place in range(start, start + length):  # a copy may reach into itself
                found.append(found[place])
    except IndexError as error:
        raise BadWire("a block is cut off") from error
    if len(found) != size:
        raise BadWire("a block unpacks to another size")
    return bytes(found)
