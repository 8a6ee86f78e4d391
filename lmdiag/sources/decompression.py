"""Packed bytes -> bytes, in blocks, with bounds on what a small file may become."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import IO, Any

from lmdiag.errors import UnreadableLog

LARGEST_UNPACKED = 1 << 32
UNPACKED_BEFORE_SUSPICION = 1 << 26
LARGEST_RATIO = 200  # gzip reaches 1000 on constant bytes and about 20 on logs
PIECE_BYTES = 1 << 16  # small, so that little before a damage is lost
GZIP = b"\x1f\x8b"


def unpacked(packed: IO[bytes], name: str, size: int, damaged: Callable[[str], None]) -> Iterator[bytes]:
    """Decompress gzip or zstandard in blocks; `size` is that of the packed bytes.

    A file that unpacks to far more than any log would is refused; a damaged one ends at its damage, which `damaged` is told.
    """
    total = 0
    mark = packed.read(len(GZIP))
    packed.seek(0)
    stream = gzip.GzipFile(fileobj=packed) if mark == GZIP else _zstd_stream(packed, name)
    read = getattr(stream, "read1", stream.read)
    try:
        while block := read(PIECE_BYTES):
            total += len(block)
            refuse_bomb(name, total, size)
            yield block
    except UnreadableLog:
        raise
    except Exception as error:  # gzip, zlib and zstandard each raise errors of their own
        if not total:
            raise UnreadableLog(f"cannot decompress {name}: {error}", "check that it was copied completely") from error
        damaged(f"the compressed file is damaged after {total:,} bytes of its content: {error}")


def refuse_bomb(name: str, total: int, size: int) -> None:
    """Raise UnreadableLog where so many bytes come of a file of this size that no log would be so."""
    suspicious = total > UNPACKED_BEFORE_SUSPICION and total > LARGEST_RATIO * max(size, 1)
    if suspicious or total > LARGEST_UNPACKED:
        raise UnreadableLog(
            f"{name} unpacks to more than {total >> 20} MiB, {total // max(size, 1)} times its size",
            "unpack it yourself if you trust it",
        )


def _zstd_stream(packed: IO[bytes], name: str) -> Any:
    for module in ("compression.zstd", "backports.zstd"):
        try:
            return import_module(module).ZstdFile(packed)
        except ImportError:
            continue
    try:
        return import_module("zstandard").ZstdDecompressor().stream_reader(packed, read_across_frames=True)
    except ImportError as error:
        raise UnreadableLog(
            f"{name} is compressed with zstandard, which this Python cannot unpack",
            "install `zstandard`, or run `zstd -d` first",
        ) from error
