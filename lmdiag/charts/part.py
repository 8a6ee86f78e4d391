"""What a chart function gives back: a chart that stands alone, and the same as a panel of a stack."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lmdiag.charts.traces import Trace
from lmdiag.charts.vega import Place, Spec


@dataclass(frozen=True)
class Word:
    """A word above a panel with the sign that it explains: a dashed line or, where `shape` names one, a point."""

    text: str
    colour: str
    dash: Sequence[int] = (1, 0)
    shape: str = ""


@dataclass(frozen=True)
class Part:
    """A panel of a stack: how to draw it at its place, the height of its plot, the words above it, and its curves."""

    draw: Callable[[Place], list[Spec]]
    y: Callable[[Place], Spec]
    height: int
    x_domain: tuple[float, float]
    x_title: str = ""
    words: Sequence[Word] = ()
    traces: Sequence[Trace] = ()
    colours: Sequence[str] = ()
    side: Callable[[Place], Spec] | None = None
    ruled: bool = True  # alone, it has an x axis


@dataclass(frozen=True)
class Drawing:
    """A chart as a Vega-Lite specification, a description, a note on how much it shows, and the metrics it shows.

    `part` is the chart as a panel of a stack, None where it cannot be one.
    """

    spec: dict[str, Any]
    alt: str
    note: str = ""
    metrics: tuple[str, ...] = ()
    part: Part | None = None

    @property
    def names(self) -> list[str]:
        """The names of its curves, in their order."""
        return [t.name for t in self.part.traces] if self.part else []
