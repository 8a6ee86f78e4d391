"""A folder of RocksDB -> its keys with their newest values: what stands in its `.sst` files and in the `.log` before that.

Tables are block-based, of format version 2 to 5, plain or packed with Snappy; every block and record is checked by its
CRC-32C. Deletions of ranges are passed over: Aim makes one in front of all that it writes, to write it anew.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lmdiag.readers.rawlog import Source
from lmdiag.readers.tensorboard.crc32c import crc32c, masked
from lmdiag.readers.tensorboard.wire import BadWire, varint
from lmdiag.readers.trackers.snappy import uncompressed
from lmdiag.run import Skipped
from lmdiag.sources.local import files_in

_MAGIC = 0x88E241B785F4CFF7
_FOOTER, _TRAILER, _LOG_BLOCK, _LOG_HEADER = 53, 5, 32768, 7
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_PLAIN, _SNAPPY = 0, 1
_WITHOUT_LENGTHS = 4  # from this format version on, the index writes no lengths of values
_DELETED, _VALUE, _DELETED_ONCE = 0, 1, 7
_FIELDS_OF_RECORD = {
    _DELETED: 1,
    _VALUE: 2,
    3: 1,
    _DELETED_ONCE: 1,
    13: 0,
    15: 2,
}  # of a batch, in the first column family
_CHANGES = (_DELETED, _VALUE, _DELETED_ONCE)

Entry = tuple[bytes, int, int, bytes]  # key, number of the change, its kind, value


def entries(folder: Path, skipped: list[Skipped]) -> dict[bytes, bytes]:
    """Return the newest value of every key; what is damaged is added to `skipped`."""
    newest: dict[bytes, tuple[int, int, bytes]] = {}
    for path in sorted([*files_in(folder, "*.sst"), *files_in(folder, "*.log")]):
        data = Source(path.as_posix(), path).data
        found = _of_table(data) if path.suffix == ".sst" else _of_log(data)
        try:
            for key, change, kind, value in found:
                if key not in newest or change >= newest[key][0]:
                    newest[key] = change, kind, value
        except (BadWire, struct.error, IndexError) as error:
            skipped.append(Skipped(0, f"{folder.name}/{path.name} is damaged: {error}"))
    return {key: value for key, (_, kind, value) in sorted(newest.items()) if kind == _VALUE}


def _of_table(data: bytes) -> Iterator[Entry]:
    footer = data[-_FOOTER:]
    if len(footer) < _FOOTER or struct.unpack_from("<Q", footer, 45)[0] != _MAGIC:
        raise BadWire("it has no footer of a table")
    version = struct.unpack_from("<I", footer, 41)[0]
    _, at = _handle(footer, 1)  # of the meta index
    index, _ = _handle(footer, at)
    for _, value in _records(_block(data, *index), lengths=version < _WITHOUT_LENGTHS):
        for key, held in _records(_block(data, *_handle(value, 0)[0])):
            trailer = struct.unpack("<Q", key[-8:])[0]
            yield key[:-8], trailer >> 8, trailer & 0xFF, held


def _handle(data: bytes, at: int) -> tuple[tuple[int, int], int]:
    offset, at = varint(data, at)
    size, at = varint(data, at)
    return (offset, size), at


def _block(data: bytes, offset: int, size: int) -> bytes:
    """Return the block at an offset: it is followed by the kind of its packing, and a checksum of both."""
    end = offset + size + _TRAILER
    if end > len(data) or not _sound(data, np.array([offset]), np.array([size + 1]), np.array([end - 4]))[0]:
        raise BadWire(f"the block at byte {offset:,} is not what was written")
    content, packing = data[offset : offset + size], data[offset + size]
    if packing == _SNAPPY:
        return uncompressed(content)
    if packing != _PLAIN:
        raise BadWire(f"the block at byte {offset:,} is packed in a way that lmdiag cannot unpack")
    return content


def _sound(data: bytes, starts: np.ndarray, lengths: np.ndarray, stored: np.ndarray) -> np.ndarray:
    """Return which stretches have the checksum that is stored for them: bool[n]."""
    if not len(starts):
        return np.empty(0, bool)
    whole = np.frombuffer(data, np.uint8)
    wanted = np.array([struct.unpack_from("<I", data, at)[0] for at in stored.tolist()], np.uint32)
    checked: np.ndarray = masked(crc32c(whole, starts, lengths)) == wanted
    return checked


def _records(block: bytes, lengths: bool = True) -> Iterator[tuple[bytes, bytes]]:
    """Yield the keys and values of a block; a key tells only what it does not share with the one before it.

    Without `lengths`, a value is a handle, which tells its own end.
    """
    restarts = struct.unpack_from("<I", block, len(block) - 4)[0] & 0x7FFFFFFF
    at, end, key = 0, len(block) - 4 - 4 * restarts, b""
    while at < end:
        shared, at = varint(block, at)
        own, at = varint(block, at)
        size = 0
        if lengths:
            size, at = varint(block, at)
        if shared > len(key) or at + own + size > end:
            raise BadWire("a record runs over the end of its block")
        key = key[:shared] + block[at : at + own]
        at += own
        if not lengths:
            size = _handle(block, at)[1] - at
        yield key, block[at : at + size]
        at += size


def _of_log(data: bytes) -> Iterator[Entry]:
    """Yield the changes of a write-ahead log up to the first record that is not sound, as RocksDB recovers them."""
    chunks = list(_chunks(data))
    starts, ends = (np.array([chunk[k] for chunk in chunks], np.int64) for k in (0, 1))
    sound = _sound(data, starts + 6, ends - starts - 6, starts)
    parts: list[bytes] = []
    for (start, end), good in zip(chunks, sound.tolist()):
        if not good:
            raise BadWire(f"the record at byte {start:,} is not what was written")
        parts.append(data[start + _LOG_HEADER : end])
        if data[start + 6] in (_WHOLE, _LAST):
            yield from _changes(b"".join(parts))
            parts = []


def _chunks(data: bytes) -> Iterator[tuple[int, int]]:
    at = 0
    while at + _LOG_HEADER <= len(data):
        left = _LOG_BLOCK - at % _LOG_BLOCK
        length, kind = struct.unpack_from("<HB", data, at + 4)
        if left < _LOG_HEADER:
            at += left
        elif not kind:
            return  # space that was reserved
        else:
            end = at + _LOG_HEADER + length
            if end > len(data) or kind not in (_WHOLE, _FIRST, _MIDDLE, _LAST):
                raise BadWire(f"the record at byte {at:,} is cut off")
            yield at, end
            at = end


def _changes(batch: bytes) -> Iterator[Entry]:
    change = struct.unpack_from("<Q", batch)[0]
    at = 12
    while at < len(batch):
        kind, at = batch[at], at + 1
        if kind not in _FIELDS_OF_RECORD:
            raise BadWire(f"a batch holds a change of the unknown kind {kind}")
        held = []
        for _ in range(_FIELDS_OF_RECORD[kind]):
            size, at = varint(batch, at)
            held.append(batch[at : at + size])
            at += size
        if kind in _CHANGES:
            yield held[0], change, kind, held[1] if kind == _VALUE else b""
        change += kind != 3 and kind != 13
