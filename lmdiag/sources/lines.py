"""Blocks of bytes that end with a line end, and the limit that keeps one endless line from filling the memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import IO

from lmdiag.errors import UnreadableLog

LONGEST_LINE = 1 << 28  # a trainer's state of a million records on one line is shorter


def without_endless_line(pieces: Iterable[bytes], name: str) -> Iterator[bytes]:
    """Yield the pieces, or raise UnreadableLog at a line longer than any log has: it would fill the memory."""
    since = 0
    for piece in pieces:
        line_end = piece.rfind(b"\n")
        since = len(piece) - line_end - 1 if line_end >= 0 else since + len(piece)
        _refuse_line(since, name)
        yield piece


def _refuse_line(length: int, name: str) -> None:
    if length > LONGEST_LINE:
        raise UnreadableLog(
            f"{name} holds a line of more than {LONGEST_LINE >> 20} MiB",
            "logs hold one record per line; split the line or export the log again",
        )


def whole_lines(pieces: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Join pieces to blocks of about `size` bytes that end with a line end."""
    kept: list[bytes] = []
    length, enough = 0, size
    for piece in pieces:
        kept.append(piece)
        length += len(piece)
        if length < enough:
            continue
        block = b"".join(kept)
        cut = block.rfind(b"\n") + 1
        if cut:
            yield block[:cut]
        kept, length = [block[cut:]], len(block) - cut
        enough = max(size, 2 * length)
    if length:
        yield b"".join(kept)


def cut_at_lines(file: IO[bytes], size: int, name: str) -> Iterator[bytes]:
    start = file.tell()
    while True:
        file.seek(start + size)  # where the line ends is found first, so that a block is read in one piece
        _refuse_line(len(file.readline(LONGEST_LINE + 1)), name)
        length = file.tell() - start
        file.seek(start)
        block = file.read(length)
        if not block:
            return
        yield block
        start += len(block)
