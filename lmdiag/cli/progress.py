"""The progress of a long command, on standard error if that is a terminal, after the first two seconds."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

PATIENCE_S = 2.0
EVERY_S = 0.1


class Progress:
    """A line that counts; it is gone when the work is done."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._next = time.monotonic() + PATIENCE_S
        self._shown = False

    def tell(self, done: int, total: int) -> None:
        """Show that `done` of `total` are done, not more often than anybody can read."""
        now = time.monotonic()
        if now < self._next or not sys.stderr.isatty():
            return
        self._next, self._shown = now + EVERY_S, True
        sys.stderr.write(f"\r\x1b[Klmdiag: {done:,} of {total:,} {self._what}")
        sys.stderr.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
