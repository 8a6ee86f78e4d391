"""What a report lists apart: sources that could not be read, and findings that were accepted."""

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
class Suppressed:
    """A finding that does not count, and why."""

    run: Run
    finding: Finding
    reason: str
