"""The parts of a Vega-Lite specification that every chart uses.

Specifications are plain dicts: building them takes a millisecond where an object model that checks every record takes
a tenth of a second, which is felt at every click.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Spec = dict[str, Any]
Records = list[dict[str, Any]]

HOUSE: dict[str, Spec] = {"point": {"filled": True}, "text": {"fontSize": 11}}  # what marks have unless said otherwise
AXIS = {"labelPadding": 6, "labelOverlap": True}
LARGEST_WHOLE = 1e15  # beyond which a number is not sure to be a whole one
DIGITS = 7  # of a number in a chart: more than a screen shows, in a third of the bytes
SHORT = "replace(replace(replace(format({0}, '{1}'), 'G', ' B'), 'M', ' M'), 'T', ' T')"  # 1.68 B, not 1.68G
PLACE_WORDS = f"abs(datum.value) >= 1e7 ? {SHORT.format('datum.value', '.3~s')} : format(datum.value, ',.7~r')"


@dataclass(frozen=True)
class Place:
    """Where a panel stands in a stack: its number, after which the signals of its upper and lower edge are named."""

    number: int = 0

    @property
    def top(self) -> Spec:
        """The upper edge of the plot, in pixels from the top of the stack."""
        return {"expr": f"top{self.number}"}

    @property
    def bottom(self) -> Spec:
        """The lower edge."""
        return {"expr": f"bottom{self.number}"}

    @property
    def height(self) -> str:
        """The height of the plot, as an expression."""
        return f"(bottom{self.number} - top{self.number})"

    @property
    def range(self) -> list[Spec]:
        """The range of a scale that fills the panel from below."""
        return [self.bottom, self.top]


def room(pixels: int) -> Spec:
    """Return the part of an axis that makes it exactly this wide, so that charts line up."""
    return {"minExtent": pixels, "maxExtent": pixels}


SIDE = {**AXIS, **room(44), "orient": "right", "grid": False, "titlePadding": 4, "titleFontSize": 11}
EMPTY_SIDE = {**SIDE, "values": [], "title": " ", "domain": False, "ticks": False}


def mark(kind: str, **look: Any) -> Spec:
    """Return how the records of a layer are drawn.

    >>> mark("point", size=60)
    {'type': 'point', 'filled': True, 'size': 60}
    """
    return {"type": kind, **HOUSE.get(kind, {}), **look}


def channel(field: str, type: str = "quantitative", **look: Any) -> Spec:
    """Return how a field of the records is shown."""
    return {"field": field, "type": type, **look}


def pixels(field: str) -> Spec:
    """Return how a field that holds pixels of the page places a mark."""
    return channel(field, scale=None, axis=None)


def layer(data: Records | str | Spec, mark: Spec, **encoding: Spec | list[Spec] | str) -> Spec:
    """Return one layer over its own records, a named dataset or a table; a channel may be the bare name of its field.

    >>> layer("raw", mark("line"), x="x")
    {'data': {'name': 'raw'}, 'mark': {'type': 'line'}, 'encoding': {'x': {'field': 'x'}}}
    """
    channels = {name: {"field": one} if isinstance(one, str) else one for name, one in encoding.items()}
    source: Spec = {"name": data} if isinstance(data, str) else data if isinstance(data, dict) else {"values": data}
    return {"data": source, "mark": mark, "encoding": channels}


def table(name: str, columns: Sequence[str], values: Sequence[np.ndarray]) -> Spec:
    """Return columns of numbers as a named dataset, written as CSV: a third of the bytes of records; NaN is left out.

    >>> table("raw", ["x", "y"], [np.array([1.0, 2.0]), np.array([0.5, np.nan])])["values"]
    'x,y\\n1,0.5\\n2,'
    """
    texts = [[written(v) for v in column.tolist()] for column in values]
    lines = [",".join(columns), *map(",".join, zip(*texts))]
    return {
        "name": name,
        "values": "\n".join(lines),
        "format": {"type": "csv", "parse": dict.fromkeys(columns, "number")},
    }


def written(value: float) -> str:
    """Write a number for a chart: whole ones in full, for steps differ in their last digit, others with few digits.

    >>> written(12_345_678.0), written(2 / 3), written(float("nan"))
    ('12345678', '0.6666667', '')
    """
    if value != value:
        return ""
    return f"{value:.0f}" if abs(value) < LARGEST_WHOLE and value == round(value) else f"{value:.{DIGITS}g}"


def tip(field: str, format: str = "", title: str = "") -> Spec:
    """Return one line of a tooltip."""
    kind = {"type": "quantitative", "format": format} if format else {"type": "nominal"}
    return channel(field, **kind, title=title or field)


def domain(ends: tuple[float, float] | None, log: bool = False, **more: Any) -> Spec:
    """Return a scale that shows exactly these values."""
    scale: Spec = {"type": "log"} if log else {"type": "linear", "zero": False}
    return {**scale, "nice": False, **({"domain": list(ends)} if ends else {}), **more}


def fitted(spec: Spec) -> Spec:
    """Return a chart whose width the page sets, and which fits into the height that it names, axes and all."""
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "width": "container",
        "autosize": {"type": "fit", "contains": "padding"},
        "usermeta": {"embedOptions": {"renderer": "canvas"}},
        "padding": {"left": 2, "top": 4, "bottom": 2, "right": 2},
        **spec,
    }
