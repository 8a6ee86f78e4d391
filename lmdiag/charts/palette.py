"""The colours of curves, which colour-blind readers can tell apart (Okabe and Ito 2008), and the shapes of findings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from lmdiag.finding import Severity
from lmdiag.looks import LOOKS

Look = TypeVar("Look")
DASHES = ([1, 0], [7, 3], [2, 2], [9, 3, 2, 3], [4, 4], [1, 3])
SHAPES = {Severity.ERROR: "cross", Severity.WARNING: "triangle-up", Severity.INFO: "circle"}


@dataclass(frozen=True)
class Palette:
    """The colours of one theme."""

    training: str
    evaluation: str
    third: str
    fourth: str
    fifth: str
    muted: str
    text: str
    background: str
    low: str
    usual: str
    high: str

    def severity(self, severity: Severity) -> str:
        """Return the colour of a severity."""
        colour = LOOKS[severity.label].colour
        return colour.dark if self is DARK else colour.light

    @property
    def spectrum(self) -> tuple[str, str, str]:
        """The colours of a heat map, from low over usual to high."""
        return self.low, self.usual, self.high

    @property
    def cycle(self) -> tuple[str, ...]:
        """The colours of several curves in one chart, in order."""
        return self.training, self.evaluation, self.third, self.fourth, self.fifth, self.text


LIGHT = Palette(
    training="#0072B2",
    evaluation="#007A59",
    third="#A8508B",
    fourth="#8A6100",
    fifth="#3584B5",
    muted="#6B7280",
    text="#31333F",
    background="#FFFFFF",
    low="#1F6FB4",
    usual="#EEF0F3",
    high="#D9640B",
)
DARK = Palette(
    training="#56B4E9",
    evaluation="#2CC295",
    third="#DD9BC2",
    fourth="#F0E442",
    fifth="#8FC7EA",
    muted="#9AA1AD",
    text="#E6E6EA",
    background="#0E1117",
    low="#56B5EA",
    usual="#1E2530",
    high="#F28E2B",
)


def cycled(looks: Sequence[Look], count: int, shifted: bool = False) -> list[Look]:
    """Return a look for each of some curves, in turn; `shifted` by one in each further round, so that two such looks together differ longer.

    >>> list(zip(cycled("ab", 4), cycled("xy", 4, True)))
    [('a', 'x'), ('b', 'y'), ('a', 'y'), ('b', 'x')]
    """
    n = len(looks)
    return [looks[(i + (i // n if shifted else 0)) % n] for i in range(count)]


def palette(dark: bool) -> Palette:
    """Return the colours for a dark or a light page."""
    return DARK if dark else LIGHT
