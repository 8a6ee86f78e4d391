"""How verdicts and severities look in a terminal: an icon, a word and a colour, never colour alone."""

from __future__ import annotations

from dataclasses import dataclass

from lmdiag.finding import Severity
from lmdiag.reports.wording import WORDS

ICONS = {"healthy": "✓", "not-judged": "?", "suspect": "!", "unhealthy": "✗", "info": "i", "warning": "!", "error": "✗"}
COLOURS = {
    "healthy": "green",
    "not-judged": "cyan",
    "suspect": "yellow",
    "unhealthy": "red",
    "info": "blue",
    "warning": "yellow",
    "error": "red",
}


@dataclass(frozen=True)
class Style:
    """How the report is drawn: columns of the terminal, colours or not, everything or the essentials."""

    width: int = 80
    color: bool = False
    verbose: bool = False


def verdict_look(verdict: str) -> tuple[str, str]:
    """Return the words and the colour of a verdict.

    >>> verdict_look("not-judged")
    ('? not judged', 'cyan')
    """
    return f"{ICONS[verdict]} {WORDS[verdict]}", COLOURS[verdict]


def severity_look(severity: Severity) -> tuple[str, str]:
    """Return the words and the colour of a severity.

    >>> severity_look(Severity.ERROR)
    ('✗ error', 'red')
    """
    return f"{ICONS[severity.label]} {severity.label}", COLOURS[severity.label]
