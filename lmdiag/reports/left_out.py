"""What a report lists apart: sources that could not be read, files that are no logs, and accepted findings."""

from __future__ import annotations

from dataclasses import dataclass

from lmdiag.finding import Finding
from lmdiag.run import Run


@dataclass(frozen=True)
class Unreadable:
    """A source that could not be read, why, and what to do about it."""

    source: str
    error: str
    hint: str = ""


@dataclass(frozen=True)
class PassedOver:
    """A file in a folder that is called like a log and is none, and why."""

    source: str
    why: str


@dataclass(frozen=True)
class Suppressed:
    """A finding that does not count, and why."""

    run: Run
    finding: Finding
    reason: str
    known: bool = False  # a baseline holds it
