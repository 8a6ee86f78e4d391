"""What the pointer reads: one row of values for all panels, the line at which they stand, and the range that is dragged over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lmdiag.charts.downsampling import extremes
from lmdiag.charts.palette import Palette
from lmdiag.charts.part import Part
from lmdiag.charts.traces import Trace, rescaled
from lmdiag.charts.vega import SHORT, Place, Records, Spec, channel, layer, mark, pixels, table, tip, written
from lmdiag.charts.view import View, positions
from lmdiag.run import Run, Series

BUCKETS = 150  # two rows of each can be read
CELL, WIDE_CELL, CELL_HEIGHT = 62, 118, 29  # pixels of a cell of the read-out, at least
ROOM = 120  # pixels for the names at the ends of curves
MOST_CELLS = 16
ASKED = 1000  # records that tell the usual distance of a metric's records
MISSING = 2.5  # times the usual distance of a metric's records, after which its last value is no longer the present one
LARGEST_READ = 13.8  # of which a perplexity below a million is read out
NAMES = {"training": "loss", "gradient norm": "norm", "learning rate": "lr", "mem_bytes": "memory"}
VALUE = "datum.value"
FORMATS = {  # how a value is written, as an expression of Vega
    "step": "format(datum.value, ',d')",
    "number": f"abs({VALUE}) >= 1e6 ? {SHORT.format(VALUE, '.4~s')} : {VALUE} !== 0 && abs({VALUE}) < 1e-3 ? format({VALUE}, '.3~e') : "
    f"format({VALUE}, ',.5~r')",
    "hours": f"{VALUE} < 1 / 60 ? format(3600 * {VALUE}, '.3~r') + ' s' : {VALUE} < 1 ? format(60 * {VALUE}, '.3~r') + ' min' : format({VALUE}, ',.4~r') + ' h'",
    "bytes": f"format({VALUE}, '.4~s') + 'B'",
}


@dataclass(frozen=True)
class Cell:
    """One value of the read-out: its name, its colour, how it is written, and its values at the rows."""

    name: str
    kind: str
    values: np.ndarray
    colour: str = ""
    panel: int = -1  # on which a dot shows it, -1 for none
    dash: Sequence[int] | None = None  # of the curve that it names, None where its name needs no sign


@dataclass(frozen=True)
class End:
    """A name at the end of a curve: its height above the lower edge of the first panel, as a share of the panel."""

    name: str
    colour: str
    height: float


@dataclass(frozen=True)
class Cursor:
    """The rows that can be read: their positions on the x axis, the cells, and where the axis begins and ends.

    In a comparison the cells are the runs: they are `wide`, and a pointer on a name singles its curve out. `ends` are
    names at the right, where there is room.
    """

    x: np.ndarray
    cells: Sequence[Cell]
    x_domain: tuple[float, float]
    wide: bool = False
    ends: Sequence[End] = ()

    @property
    def cell(self) -> int:
        """The pixels of a cell, at least."""
        return WIDE_CELL if self.wide else CELL


def cursor_of(run: Run, view: View, parts: Sequence[Part]) -> Cursor:
    """Return what can be read of the panels of a run, at the extremes of its first curve that is logged often."""
    curves = [(t, colour, number) for number, part in enumerate(parts) for t, colour in zip(part.traces, part.colours)]
    most = max((t.logged for t, _, _ in curves), default=0)
    main = next((t for t, _, _ in curves if 2 * t.logged >= most and len(t.rows)), None)
    steps = (
        np.array([run.first_step, run.last_step])
        if main is None
        else main.steps[extremes(main.values, buckets=BUCKETS)]
    )
    cells = [Cell(run.unit, "step", steps.astype(float)), *_clocks(run, view, steps)]
    for t, colour, number in curves:
        often = 2 * t.logged >= most  # else its last value, which is read out, is not where the line is
        cells += _of_curve(run, view, t, colour, number if often else -1, steps)
    if "mem_bytes" in run and not any(t.metric == "mem_bytes" for t, _, _ in curves):
        cells.append(Cell("memory", "bytes", as_of(run["mem_bytes"], steps)))
    return Cursor(positions(run, view.axis, steps), cells[:MOST_CELLS], parts[0].x_domain)


def _clocks(run: Run, view: View, steps: np.ndarray) -> list[Cell]:
    found = []
    for axis, name, kind in (("tokens", "tokens", "number"), ("elapsed", "time", "hours")):
        values = positions(run, axis, steps)
        if not np.array_equal(values, steps):
            found.append(Cell(name, kind, values))
    return found


def _of_curve(run: Run, view: View, t: Trace, colour: str, number: int, steps: np.ndarray) -> list[Cell]:
    kind = "bytes" if t.metric.endswith("bytes") else "number"
    own = as_of(t.series, steps)
    values = rescaled(run, own, view) if t.metric == "loss" or t.metric.endswith("/loss") else own
    cells = [Cell(NAMES.get(t.name, t.name)[:40], kind, values, colour, number)]
    smooth = None
    if t.smooth is not None and len(t.smooth.rows) > 1:
        smooth = np.interp(steps, t.series.steps[t.smooth.rows], t.smooth.values)
        if t.metric == "loss":
            cells.append(Cell("smooth", kind, smooth, colour))
    if t.metric == "loss" and view.loss_as == "loss" and run.kind == "language-model" and run.per_token:
        level = own if smooth is None else smooth
        cells.append(
            Cell(
                "perplexity", "number", np.where(level < LARGEST_READ, np.exp(np.minimum(level, LARGEST_READ)), np.nan)
            )
        )
    return cells


def as_of(series: Series, steps: np.ndarray) -> np.ndarray:
    """Return the last value of a series at each step, NaN before its first record and long after its last.

    >>> as_of(Series(np.array([10, 20, 30]), np.array([3.0, 2.0, 1.0])), np.array([5, 10, 25, 90])).tolist()
    [nan, 3.0, 2.0, nan]
    """
    rows = np.searchsorted(series.steps, steps, side="right") - 1
    known = series.values[rows.clip(0)].astype(float)
    late = steps - series.steps[rows.clip(0)] > MISSING * max(_usual_distance(series.steps), 1.0)
    return np.where((rows < 0) | late, np.nan, known)


def _usual_distance(steps: np.ndarray) -> float:
    """Return how far records are from the next, as the median of a thousand of them tells."""
    if len(steps) < 2:
        return 0.0
    at = np.linspace(0, len(steps) - 2, min(len(steps) - 1, ASKED)).astype(int)
    return float(np.median(steps[at + 1] - steps[at]))


def pointer_layers(
    cursor: Cursor, parts: Sequence[Part], layers: list[Spec], colours: Palette, below: Sequence[Spec]
) -> list[Spec]:
    """Return the layers of a stack with those that follow the pointer: a net of columns below them, line, dots and words above."""
    names = [f"c{k}" for k in range(len(cursor.cells))]
    data = table("cursor", ["x", *names], [cursor.x, *(cell.values for cell in cursor.cells)])
    last = float(written(float(cursor.x[-1])))
    at_pointer = [{"filter": {"param": "near", "empty": False}}]
    line = layer(
        "cursor",
        mark("rule", color=colours.muted, opacity=0.8),
        x="x",
        y={"value": {"expr": "head"}},
        y2={"value": {"expr": "height"}},
    )
    made = [_net(data, last, cursor.x_domain), *below, *layers]
    if cursor.wide:
        made += _singled_out(layers[0]["layer"], parts[0], colours)
        made += _at_the_ends(cursor.ends)
    made.append({**line, "transform": at_pointer})
    for number, part in enumerate(parts):
        own = [k for k, cell in enumerate(cursor.cells) if cell.panel == number]
        made += [_dots(part, number, own, [cursor.cells[k].colour for k in own], at_pointer)] if own else []
    return [*made, *_read_out(cursor, names, at_pointer, colours)]


def _net(data: Spec, last: float, ends: tuple[float, float]) -> Spec:
    """Return invisible columns, one for each row, that feel the pointer, a drag and a double click; a finger's drag scrolls the page."""
    middle = [
        {
            "window": [
                {"op": "lag", "field": "x", "as": "before"},
                {"op": "lead", "field": "x", "as": "after"},
            ]
        },
        {"calculate": f"isValid(datum.before) ? (datum.before + datum.x) / 2 : {ends[0]!r}", "as": "from"},
        {"calculate": f"isValid(datum.after) ? (datum.after + datum.x) / 2 : {ends[1]!r}", "as": "to"},
    ]
    drag = "[pointerdown[event.pointerType !== 'touch'], window:pointerup] > window:pointermove!"
    fixed = {"fields": ["x"], "clear": False, "toggle": False}
    params = [
        {"name": "near", "value": [{"x": last}], "select": {"type": "point", "on": "@net_marks:pointerover", **fixed}},
        {
            "name": "zoom",
            "select": {
                "type": "interval",
                "encodings": ["x"],
                "on": drag,
                "translate": False,
                "zoom": False,
                "clear": False,
            },
        },
        {"name": "back", "select": {"type": "point", "on": "dblclick", **fixed}},
    ]
    whole: dict[str, Spec] = {"y": {"value": 0}, "y2": {"value": {"expr": "height"}}}
    net = layer(data, mark("rect", opacity=0, tooltip=None), x="from", x2="to", **whole)
    return {"name": "net", **net, "transform": middle, "params": params}


def _dots(part: Part, number: int, own: Sequence[int], looks: Sequence[str], at_pointer: list[Spec]) -> Spec:
    """Return a dot on every curve of a panel at the pointer."""
    fields = [f"c{k}" for k in own]
    fold = [*at_pointer, {"fold": fields, "as": ["curve", "level"]}, {"filter": "isValid(datum.level)"}]
    scale = {"domain": fields, "range": list(looks)}
    colour = channel("curve", "nominal", scale=scale, legend=None)
    dot = layer(
        "cursor", mark("point", size=55, clip=True), x="x", y={**part.y(Place(number)), "field": "level"}, color=colour
    )
    return {**dot, "transform": fold}


def _singled_out(inner: Sequence[Spec], part: Part, colours: Palette) -> list[Spec]:
    """Return a veil over the first panel, and above it the curve whose name the pointer is on."""
    place = Place(0)
    chosen = [{"filter": {"param": "single", "empty": False}}]
    veil = layer(
        [{"t": number} for number in range(len(part.traces))],
        mark("rect", color=colours.background, opacity=0.8),
        x={"value": 0},
        x2={"value": {"expr": "width"}},
        y={"value": place.top},
        y2={"value": place.bottom},
    )
    line = next(one for one in reversed(inner) if one["mark"]["type"] == "line")
    bold = {**line, "data": {"name": line["data"]["name"]}, "mark": {**line["mark"], "strokeWidth": 2.6, "opacity": 1}}
    front = {"encoding": {"y": part.y(place)}, "layer": [{**bold, "transform": chosen}]}
    return [{**veil, "transform": chosen}, front]


def _at_the_ends(ends: Sequence[End]) -> list[Spec]:
    """Return the names right of the first panel, unless the screen is narrow."""
    records: Records = [{"text": end.name, "colour": end.colour, "height": round(end.height, 4)} for end in ends]
    words = mark("text", align="left", baseline="middle", fontSize=10, limit=ROOM - 8)
    place = [
        {"filter": "room > 0"},
        {"calculate": "width - room + 6", "as": "left"},
        {"calculate": "bottom0 + (top0 - bottom0) * datum.height", "as": "down"},
    ]
    colour = channel("colour", "nominal", scale=None)
    one = layer(records, words, x=pixels("left"), y=pixels("down"), text="text", color=colour)
    return [{**one, "transform": place}] if records else []


def _read_out(cursor: Cursor, names: Sequence[str], at_pointer: list[Spec], colours: Palette) -> list[Spec]:
    """Return the names of the cells, and below them the values at the pointer."""
    left, down = "(datum.k % columns) * width / columns", f"{CELL_HEIGHT} * floor(datum.k / columns)"
    sign = 18 if cursor.wide else 0
    seen = {"filter": "datum.k < columns * rows"}
    place = [
        seen,
        {"calculate": f"{left} + (datum.signed ? {sign} : 0)", "as": "left"},
        {"calculate": f"{left} + 13", "as": "right"},
        {"calculate": left, "as": "begin"},
        {"calculate": f"{down} + 6", "as": "down"},
    ]
    records: Records = []
    for k, cell in enumerate(cursor.cells):
        one = {"k": k, "t": k - 1, "text": cell.name, "colour": cell.colour or colours.muted}
        records.append(one | {"signed": cell.dash is not None, "dash": list(cell.dash or (1, 0))})
    colour, y = channel("colour", "nominal", scale=None), pixels("down")
    text = mark("text", align="left", baseline="middle", fontSize=10, limit={"expr": f"width / columns - {4 + sign}"})
    data = {"name": "names", "values": records}
    title = {"name": "named", **layer(data, text, x=pixels("left"), y=y, text="text", color=colour), "transform": place}
    signs: list[Spec] = []
    if cursor.wide:
        title["encoding"]["tooltip"] = [tip("text", title="run")]
        title["mark"] = {**text, "cursor": "pointer", "fontSize": 11}
        over = {"type": "point", "fields": ["t"], "on": "@named_marks:pointerover", "toggle": False}
        title["params"] = [{"name": "single", "select": {**over, "clear": "@named_marks:pointerout"}}]
        click = {"type": "point", "fields": ["t"], "on": "@named_marks:click", "toggle": False, "clear": False}
        title["params"].append({"name": "pick", "select": click})
        dash = channel("dash", "nominal", scale=None)
        line = layer(
            "names", mark("rule", strokeWidth=2.4), x=pixels("begin"), x2="right", y=y, color=colour, strokeDash=dash
        )
        signs = [{**line, "transform": [{"filter": "datum.signed"}, *place]}]
    kinds = list(FORMATS)
    of_cell = ", ".join(str(kinds.index(cell.kind)) for cell in cursor.cells)
    words = "".join(f"datum.kind === {i} ? ({how}) : " for i, how in enumerate(FORMATS.values()))
    fold: list[Spec] = [
        *at_pointer,
        {"fold": list(names)},
        {"calculate": "toNumber(slice(datum.key, 1))", "as": "k"},
        seen,
        {"calculate": f"[{of_cell}][datum.k]", "as": "kind"},
        {"calculate": left, "as": "left"},
        {"calculate": f"{down} + 19", "as": "down"},
        {"calculate": f"isValid(datum.value) ? {words}'' : '–'", "as": "words"},
    ]
    bold = mark("text", align="left", baseline="middle", fontSize=12, fontWeight="bold", color=colours.text)
    value = layer("cursor", bold, x=pixels("left"), y=y, text=channel("words", "nominal"))
    return [title, *signs, {**value, "transform": fold}]
