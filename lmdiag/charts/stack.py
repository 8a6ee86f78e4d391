"""Panels one above the other in one view: one x axis, one line at the pointer, and one row that reads all of them out.

Every panel has a scale whose range is its own part of the height, so that what hangs on the pointer is drawn once for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from lmdiag.charts.cursor import CELL_HEIGHT, ROOM, Cursor, cursor_of, pointer_layers
from lmdiag.charts.palette import Palette, palette
from lmdiag.charts.part import Drawing, Part, Word
from lmdiag.charts.vega import (
    AXIS,
    EMPTY_SIDE,
    PLACE_WORDS,
    Place,
    Records,
    Spec,
    channel,
    domain,
    fitted,
    layer,
    mark,
    pixels,
)
from lmdiag.charts.view import View, positions
from lmdiag.finding import severity_of
from lmdiag.looks import LOOKS
from lmdiag.run import Run

USUAL_WIDTH, WIDE = 520, 900  # pixels of a plot, for which the height of a stack is made, and of a comparison
WIDTHS = (250, 400, 520, 800)  # pixels of a plot, for which words are divided into lines
LINE = 15  # pixels of a line of words
GAP = 9  # pixels between two panels without words
FOOT = 42  # pixels of the x axis with its title
MOST_OF_HEIGHT = 0.4  # that the read-out takes on a narrow screen; what has no room there is left out
NARROW = 500  # pixels of a plot, below which there are no names at the ends of curves
INDEPENDENT = ("y", "color", "fill", "stroke", "strokeDash", "opacity")  # scales of which every panel has its own
LETTER, SIGN = 6.2, 26  # pixels of a letter and of the sign before a word, about


@dataclass(frozen=True)
class _Sizes:
    """The signals that divide the height among the panels, and the height that suits a usual width."""

    params: list[Spec] = field(default_factory=list)
    height: int = 0


def stack_chart(run: Run, drawings: Sequence[Drawing], view: View) -> Drawing | None:
    """Draw the charts of a run as one, whose values can be read at the pointer; None without any."""
    parts = [drawing.part for drawing in drawings if drawing.part is not None]
    if not parts:
        return None
    spec = stacked(parts, palette(view.dark), cursor_of(run, view, parts), below=_marked(run, view))
    metrics = tuple(dict.fromkeys(metric for drawing in drawings for metric in drawing.metrics))
    return Drawing(spec, " ".join(drawing.alt for drawing in drawings), "", metrics)


def _marked(run: Run, view: View) -> list[Spec]:
    """Return a band through all panels where the finding is that the reader looks at, with a line at its first step."""
    if view.marked is None:
        return []
    first, last, severity = view.marked.first_step, view.marked.last_step, severity_of(view.marked).label
    ends = np.array([first, last], float).clip(*(view.steps or (first, last)))
    x, x2 = positions(run, view.axis, ends).tolist()
    colour = LOOKS[severity].colour.dark if view.dark else LOOKS[severity].colour.light
    whole: dict[str, Spec] = {"y": {"value": {"expr": "head"}}, "y2": {"value": {"expr": "height"}}}
    band = layer([{"x": x, "x2": x2}], mark("rect", color=colour, opacity=0.1, clip=True), x="x", x2="x2", **whole)
    return [band, layer([{"x": x}], mark("rule", color=colour, strokeWidth=1.5, clip=True), x="x", **whole)]


def stacked(
    parts: Sequence[Part], colours: Palette, cursor: Cursor | None = None, heading: str = "", below: Sequence[Spec] = ()
) -> Spec:
    """Return one chart of all panels; with a `cursor` it reads values out, and a range can be dragged over.

    Without one it is a picture, whose right edge stands where that of any other picture does. `below` are layers behind
    all panels.
    """
    sizes = _sizes(parts, cursor)
    x_title = parts[-1].x_title
    axis = {**AXIS, "labelExpr": PLACE_WORDS, "grid": False, "tickCount": 8, "titlePadding": 4}
    ruled = any(part.ruled for part in parts)
    across = {"range": [0, {"expr": "width - room"}]} if cursor and cursor.ends else {}
    x = channel("x", title=x_title or None, scale=domain(parts[0].x_domain) | across, axis=axis if ruled else None)
    layers = [one for number, part in enumerate(parts) for one in _panel(part, Place(number))]
    layers += _words(parts, colours)
    if cursor:
        layers = pointer_layers(cursor, parts, layers, colours, below)
    elif not any(part.side for part in parts):
        layers.append(_ruler())
    title = {"title": {"text": heading, "anchor": "start", "color": colours.text, "fontSize": 13}} if heading else {}
    height = sizes.height + (24 if heading else 0) + ((FOOT if x_title else FOOT - LINE) if ruled else 0)
    spec = {"params": sizes.params, "encoding": {"x": x}, "layer": layers, "height": height, **title}
    return fitted({**spec, "resolve": {"scale": dict.fromkeys(INDEPENDENT, "independent")}})


def _panel(part: Part, place: Place) -> list[Spec]:
    return [{"encoding": {"y": part.y(place)}, "layer": part.draw(place)}, *([part.side(place)] if part.side else [])]


def _ruler() -> Spec:
    """Return an axis without marks that keeps the room on the right."""
    ruler = channel("y", scale=domain((0.0, 1.0)), axis=EMPTY_SIDE)
    return layer([{"y": 0.0}], {"type": "point", "opacity": 0}, x={"value": 0}, y=ruler)


def _sizes(parts: Sequence[Part], cursor: Cursor | None) -> _Sizes:
    cells, cell = (len(cursor.cells), cursor.cell) if cursor else (0, 1)
    lines = [[_flow(part.words, width)[1] for width in WIDTHS] for part in parts]
    strips = [f"{LINE} * {of_width}[span]" if max(of_width) else str(GAP) for of_width in lines]
    weights = [part.height for part in parts]
    params = [
        {"name": "room", "expr": f"width < {NARROW} ? 0 : {ROOM if cursor and cursor.ends else 0}"},
        {"name": "span", "expr": " + ".join(f"(width >= {width} ? 1 : 0)" for width in WIDTHS[1:])},
        {"name": "columns", "expr": f"clamp(floor(width / {cell}), 1, {max(cells, 1)})"},
        {
            "name": "rows",
            "expr": f"min(ceil({cells} / columns), max(floor({MOST_OF_HEIGHT} * height / {CELL_HEIGHT}), 1))",
        },
        {"name": "head", "expr": f"{CELL_HEIGHT} * rows"},
        {"name": "share", "expr": f"max(height - head - ({' + '.join(strips)}), {10 * len(parts)}) / {sum(weights)}"},
    ]
    above = "head"
    for number, (strip, weight) in enumerate(zip(strips, weights)):
        params.append({"name": f"top{number}", "expr": f"{above} + {strip}"})
        params.append({"name": f"bottom{number}", "expr": f"top{number} + share * {weight}"})
        above = f"bottom{number}"
    head = CELL_HEIGHT * -(-cells // min((WIDE if cursor and cursor.wide else USUAL_WIDTH) // cell, max(cells, 1)))
    words = sum(LINE * of_width[WIDTHS.index(USUAL_WIDTH)] or GAP for of_width in lines)
    return _Sizes(params, round(head + words + sum(weights)))


def _flow(words: Sequence[Word], width: int) -> tuple[list[tuple[int, int]], int]:
    """Return for each word how far along it stands in which line, and how many lines there are."""
    places, along, line = [], 0.0, 0
    for word in words:
        length = LETTER * len(word.text) + SIGN
        if along and along + length > width:
            along, line = 0.0, line + 1
        places.append((round(along), line))
        along += length
    return places, line + 1 if words else 0


def _words(parts: Sequence[Part], colours: Palette) -> list[Spec]:
    """Return the words above the panels with their signs, in as many lines as the width asks for."""
    records: Records = []
    for number, part in enumerate(parts):
        flows = [_flow(part.words, width) for width in WIDTHS]
        for i, word in enumerate(part.words):
            one = {
                "text": word.text,
                "colour": word.colour,
                "shape": word.shape,
                "dash": list(word.dash),
                "panel": number,
            }
            one["along"] = [places[i][0] for places, _ in flows]
            records.append(one | {"up": [lines - places[i][1] for places, lines in flows]})
    if not records:
        return []
    tops = ", ".join(f"top{number}" for number in range(len(parts)))
    placed = [
        {"calculate": "datum.along[span]", "as": "left"},
        {"calculate": f"[{tops}][datum.panel] + {LINE / 2 - 2} - {LINE} * datum.up[span]", "as": "down"},
        {"calculate": "datum.left + 13", "as": "right"},
        {"calculate": "datum.left + 6", "as": "middle"},
        {"calculate": "datum.left + 17", "as": "behind"},
    ]
    down, colour = pixels("down"), channel("colour", "nominal", scale=None)
    room = {"expr": "max(width - datum.behind, 40)"}  # a longer one would make the plot narrower
    words = mark("text", align="left", baseline="middle", color=colours.text, limit=room)
    made: list[Spec] = [{**layer(records, words, x=pixels("behind"), y=down, text="text"), "transform": placed}]
    if any(not record["shape"] for record in records):
        dash = channel("dash", "nominal", scale=None)
        stroke = mark("rule", strokeWidth=2.2)
        line = layer(records, stroke, x=pixels("left"), x2="right", y=down, color=colour, strokeDash=dash)
        made.append({**line, "transform": [{"filter": "datum.shape === ''"}, *placed]})
    if any(record["shape"] for record in records):
        shape = channel("shape", "nominal", scale=None)
        point = layer(records, mark("point", size=55, opacity=1), x=pixels("middle"), y=down, color=colour, shape=shape)
        made.append({**point, "transform": [{"filter": "datum.shape !== ''"}, *placed]})
    return made
