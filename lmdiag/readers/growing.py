"""Logs that grow: a reading that whole lines can be added to, so that no line is read twice.

A reader of lines offers one by `begin(name, start) -> Growing`, where `start` is the beginning of the log, from which only
its kind is told; formats without `begin` are read anew.
"""

from __future__ import annotations

from typing import Protocol

from lmdiag.readers.rawlog import RawLog


class Growing(Protocol):
    """What was read of a log so far."""

    def feed(self, lines: str) -> None:
        """Read further whole lines."""

    def logs(self) -> list[RawLog]:
        """Return what was read so far, as the reader's `read` returns it of all of it; more may be fed afterwards."""
