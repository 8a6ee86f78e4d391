"""What a report lists apart: sources that could not be read, files that are no logs, and accepted findings."""

from __future__ import annotations

from typing import NamedTuple

from lmdiag.finding import Finding
from lmdiag.run import Run


class Unreadable(NamedTuple):
    """A source that could not be read, why, and what to do about it."""

    source: str
    error: str
    hint: str = ""


class PassedOver(NamedTuple):
    """A file in a folder that is called like a log and is none, and why."""

    source: str
    why: str


class Suppressed(NamedTuple):
    """A finding that does not count, and why."""

    run: Run
    finding: Finding
    reason: str
    known: bool = False  # a baseline holds it
