"""Bytes as they come: of a file that grows, is moved, cut or written over, and of standard input."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterator
from contextlib import suppress
from io import RawIOBase
from pathlib import Path
from typing import Protocol

from lmdiag.errors import UnreadableLog

BLOCK = 1 << 20
ANCHOR = 256  # bytes before the place read up to; if others stand there, the file was written over


class Input(Protocol):
    """Where bytes come from, as they come; `changed` is when the last came, in seconds since the epoch."""

    ended: bool

    @property
    def changed(self) -> float: ...

    def news(self) -> Iterator[tuple[bool, bytes]]:
        """Yield what was added since the last call; True with the first bytes of a file that began anew."""


class Tail:
    """A file that grows; it need not exist yet.

    A file that was once open and cannot be read, as on a network drive after it was replaced elsewhere, is opened anew.
    """

    ended = False

    def __init__(self, path: Path) -> None:
        self._path = path
        self._changed = time.time()
        self._file: RawIOBase | None = None
        self._anchor = b""
        self._anew = True

    @property
    def changed(self) -> float:
        """When the file was last written to; of one that is gone, when it last was while it was there."""
        with suppress(OSError):
            self._changed = self._path.stat().st_mtime
        return self._changed

    def news(self) -> Iterator[tuple[bool, bytes]]:
        """Yield what was added; of a file that was moved away, first what it still got."""
        if self._file is None and not self._open():
            return
        try:
            yield from self._added()
            follow = self._replaced()
        except OSError:
            follow = True
        if follow and self._open():
            with suppress(OSError):  # the next call tries again
                yield from self._added()

    def _open(self) -> bool:
        try:
            file = self._path.open("rb", buffering=0)
        except FileNotFoundError:
            return False
        except OSError as error:
            if self._file is not None:
                return False
            raise UnreadableLog(f"cannot read {self._path}: {error.strerror}", "check that it may be read") from error
        if self._file is not None:
            self._file.close()
        self._file, self._anchor, self._anew = file, b"", True
        return True

    def _added(self) -> Iterator[tuple[bool, bytes]]:
        assert self._file is not None
        if self._written_over(self._file):
            self._file.seek(0)
            self._anchor, self._anew = b"", True
        while block := self._file.read(BLOCK):
            self._anchor = (self._anchor + block)[-ANCHOR:]
            anew, self._anew = self._anew, False
            yield anew, block

    def _written_over(self, file: RawIOBase) -> bool:
        """Tell whether other bytes, or none, stand before the place read up to."""
        file.seek(file.tell() - len(self._anchor))
        return file.read(len(self._anchor)) != self._anchor

    def _replaced(self) -> bool:
        """Tell whether another file stands under the name."""
        assert self._file is not None
        try:
            now, held = self._path.stat(), os.fstat(self._file.fileno())
        except OSError:
            return False
        return (now.st_dev, now.st_ino) != (held.st_dev, held.st_ino)


class Pipe:
    """Standard input, as it comes."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.ended = False
        self.changed = time.time()

    def news(self) -> Iterator[tuple[bool, bytes]]:
        """Yield what has come."""
        while not self.ended and select.select([self._descriptor], [], [], 0)[0]:
            block = os.read(self._descriptor, BLOCK)
            self.ended = not block
            self.changed = time.time()
            yield False, block
