"""One panel: curves over the run, with findings, gaps and outliers marked on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from lmdiag.charts.palette import DASHES, SHAPES, Palette, cycled, palette
from lmdiag.charts.traces import Records, Trace, line_records, off_scale_records, smooth_records
from lmdiag.charts.vega import AXIS, Spec, channel, domain, layer, mark, room, tip
from lmdiag.charts.view import View
from lmdiag.finding import Severity

LABEL_ROOM = 50  # pixels for the labels left of every panel, so that the panels line up
FEW_POINTS = 60  # so few that each is drawn as a point, too
LABELLED: dict[str, tuple[str | int, int]] = {
    "right": ("width", -4),
    "left": (0, 4),
}  # ends of a line: where, how far inside
CROWDED = 0.05  # of the height: two labels nearer than that would overlap
LEGEND_COLUMNS = 4
ROOM_FOR_WORDS = 200  # pixels of height, from which there is room for words above the curves
SEVERITIES = (Severity.INFO, Severity.WARNING, Severity.ERROR)  # drawn in this order, the worst on top


@dataclass(frozen=True)
class Guide:
    """A level to compare with: a horizontal line and its label."""

    value: float
    words: str


@dataclass(frozen=True)
class Panel:
    """Everything one panel shows, ready to be drawn."""

    title: str
    traces: Sequence[Trace]
    x_domain: tuple[float, float]
    y_domain: tuple[float, float] | None
    x_title: str = ""
    unit: str = "step"  # what the steps of the log count
    log: bool = False
    y_format: str = ",.4~g"
    height: int = 150
    spans: Records = field(default_factory=list)
    points: Records = field(default_factory=list)
    guides: Sequence[Guide] = ()
    best: Records = field(default_factory=list)
    bars: Records = field(default_factory=list)
    links: Records = field(default_factory=list)
    ahead: Records = field(default_factory=list)

    @property
    def x(self) -> Spec:
        """The x channel of every layer."""
        axis = {**AXIS, "format": "~s", "grid": False, "tickCount": 8, "titlePadding": 4}
        return channel("x", title=self.x_title, scale=domain(self.x_domain), axis=axis)

    @property
    def y(self) -> Spec:
        """The y channel of every layer."""
        label = f"datum.value === 0 ? '0' : format(datum.value, '{self.y_format}')"
        ticks = max(self.height // 45, 2)
        axis = {**AXIS, **room(LABEL_ROOM), "labelExpr": label, "tickCount": ticks, "titlePadding": 6}
        return channel("y", title=self.title, scale=domain(self.y_domain, self.log), axis=axis)

    @property
    def at(self) -> dict[str, Spec]:
        """Both channels."""
        return {"x": self.x, "y": self.y}


def draw(panel: Panel, view: View) -> list[Spec]:
    """Return the layers of a panel, back to front; dragging across it selects a range of x under the name `zoom`."""
    colours = palette(view.dark)
    drawn = (_spans, _ahead, _links, _guides, _bars, _lines, _edge_marks, _best, _finding_points)
    layers = [one for part in drawn for one in part(panel, colours)]
    return [*layers, *_hover(panel, view, colours)]


def datasets(panel: Panel) -> dict[str, Records]:
    """Return the records that several layers share."""
    return {"raw": [record for t in panel.traces for record in line_records(t)]}


def _spans(panel: Panel, colours: Palette) -> Iterator[Spec]:
    for severity in SEVERITIES:
        chosen = [r for r in panel.spans if r["severity"] == severity.label and r["x2"] > r["x"]]
        opacity = 0.13 if severity > Severity.INFO else 0.06
        if chosen:
            band = mark("rect", opacity=opacity, color=colours.severity(severity), clip=True)
            yield layer(chosen, band, x=panel.x, x2="x2")


def _ahead(panel: Panel, colours: Palette) -> Iterator[Spec]:
    """Draw the forecast of the loss: a band for its 90% interval, a dashed line in the middle, its end in words."""
    if panel.ahead:
        colour = colours.training
        words = [tip("words", title="forecast"), tip("step", ",", f"at {panel.unit}")]
        low, high = ({**panel.y, "field": name} for name in ("low", "high"))
        band = mark("area", color=colour, opacity=0.22, clip=True)
        yield layer(panel.ahead, band, x=panel.x, y=low, y2="high", tooltip=words)
        yield layer(panel.ahead, mark("line", color=colour, strokeDash=[5, 4], strokeWidth=1.6, clip=True), **panel.at)
        text = mark("text", align="right", dx=-4, dy=-10, baseline="bottom", color=colour, fontWeight="bold")
        yield layer(panel.ahead[-1:], text, x=panel.x, y=high, text="words", tooltip=words)


def _links(panel: Panel, colours: Palette) -> Iterator[Spec]:
    if panel.links:
        line = mark(
            "rule", color=colours.severity(Severity.WARNING), strokeWidth=1.5, strokeDash=[4, 2], opacity=0.8, clip=True
        )
        words = [
            tip("what"),
            tip("gradient", ",", f"gradient at {panel.unit}"),
            tip("loss", ",", f"loss at {panel.unit}"),
        ]
        yield layer(panel.links, line, x=panel.x, tooltip=words)
    if panel.links and panel.height >= ROOM_FOR_WORDS:
        late = panel.links[0]["x"] > sum(panel.x_domain) / 2
        side = {"align": "right", "dx": -4} if late else {"align": "left", "dx": 4}
        yield from _haloed(
            panel.links[:1], mark("text", color=colours.text, **side), colours, x=panel.x, y={"value": 8}, text="what"
        )


def _guides(panel: Panel, colours: Palette) -> Iterator[Spec]:
    low, high = panel.y_domain or (0.0, 0.0)
    records: Records = []
    for g in sorted(panel.guides, key=lambda g: -g.value):
        near = [r["side"] for r in records if r["y"] - g.value < CROWDED * (high - low) and not panel.log]
        near += [r["align"] for r in panel.best if abs(r["y"] - g.value) < 2 * CROWDED * (high - low)]
        side = next((side for side in LABELLED if side not in near), None)
        if low <= g.value <= high:
            records.append({"y": g.value, "words": g.words, "side": side})
    if records:
        yield layer(records, mark("rule", strokeDash=[3, 3], color=colours.muted, opacity=0.9), y=panel.y)
    for side, (x, dx) in LABELLED.items():
        chosen = [r for r in records if r["side"] == side]
        if chosen:
            words = mark("text", align=side, baseline="bottom", dx=dx, dy=-2, color=colours.muted)
            yield layer(chosen, words, y=panel.y, x={"value": x}, text="words")


def _bars(panel: Panel, colours: Palette) -> Iterator[Spec]:
    if panel.bars:
        bar = mark("rule", color=colours.evaluation, strokeWidth=1.4, opacity=0.7, clip=True)
        words = [tip("step", ",", panel.unit), tip("sigma", ",.3~g", "one evaluation scatters by ±")]
        yield layer(panel.bars, bar, **panel.at, y2="y2", tooltip=words)


def _lines(panel: Panel, colours: Palette) -> Iterator[Spec]:
    """Draw the raw line, faint below a smooth mean; few points are drawn one by one, too."""
    channels = _look(panel, colours)
    smooth = [r for t in panel.traces for r in smooth_records(t)]
    few = [r for t in panel.traces if t.logged <= FEW_POINTS for r in line_records(t) if r["y"] is not None]
    yield layer(
        "raw", mark("line", strokeWidth=1.2, opacity=0.35 if smooth else 0.95, clip=True), **panel.at, **channels
    )
    if smooth:
        yield layer(smooth, mark("line", strokeWidth=2.2, clip=True), **panel.at, **channels)
    if few:
        yield layer(few, mark("point", size=22, opacity=0.9, clip=True), **panel.at, color=channels["color"])


def _look(panel: Panel, colours: Palette) -> dict[str, Spec]:
    """Return colour and dashes, of which no two curves have both alike, and one legend for both."""
    names = [t.name for t in panel.traces]
    legend = {"orient": "top", "title": None, "labelLimit": 260, "symbolOpacity": 1, "symbolType": "stroke"}
    legend |= {"symbolStrokeWidth": 3, "offset": 4, "padding": 0, "symbolLimit": 0, "columns": LEGEND_COLUMNS}
    return {
        name: channel(
            "trace",
            "nominal",
            legend=legend if len(names) > 1 else None,
            scale={"domain": names, "range": looks},
        )
        for name, looks in (
            ("color", cycled(colours.cycle, len(names))),
            ("strokeDash", cycled(DASHES, len(names), True)),
        )
    }


def _edge_marks(panel: Panel, colours: Palette) -> Iterator[Spec]:
    """Mark at the edge what is not on the scale: values that are not finite, and outliers."""
    lost = [r for t in panel.traces for r in t.lost_marks]
    if lost:
        place = {"x": panel.x, "y": {"value": "height"}}
        colour = colours.severity(Severity.ERROR)
        yield layer(lost, mark("rule", strokeWidth=5, color=colour, opacity=0.6), **place, x2="x2")
        cross = mark("point", shape=SHAPES[Severity.ERROR], size=90, color=colour, yOffset=-7)
        yield layer(
            lost, cross, **place, tooltip=[tip("step", ",", panel.unit), tip("what", title="value"), tip("count", ",")]
        )
    outside = [r for t in panel.traces for r in off_scale_records(t, panel.y_domain)] if panel.y_domain else []
    for edge, place_y, shape, offset in (("above", 0, "triangle-up", 5), ("below", "height", "triangle-down", -5)):
        chosen = [r for r in outside if r["edge"] == edge]
        if chosen:
            point = mark("point", shape=shape, size=45, color=colours.muted, yOffset=offset)
            words = [tip("step", ",", panel.unit), tip("y", ",.5~g", "value, off the scale")]
            yield layer(chosen, point, x=panel.x, y={"value": place_y}, tooltip=words)


def _best(panel: Panel, colours: Palette) -> Iterator[Spec]:
    if panel.best:
        look, back = {"color": colours.evaluation}, {"stroke": colours.background}
        yield layer(panel.best, mark("point", shape="diamond", size=130, clip=True, **look, **back), **panel.at)
        words = mark("text", dy=-13, fontWeight="bold", align=panel.best[0]["align"], **look)
        yield from _haloed(panel.best, words, colours, **panel.at, text="words")


def _haloed(records: Records, words: Spec, colours: Palette, **channels: Any) -> Iterator[Spec]:
    """Draw words on a rim of the background, so that they can be read across lines."""
    halo = {**words, "stroke": colours.background, "strokeWidth": 4, "strokeJoin": "round", "opacity": 0.9}
    for text in (halo, words):
        yield layer(records, text, **channels)


def _finding_points(panel: Panel, colours: Palette) -> Iterator[Spec]:
    words = [tip("rule"), tip("step", ",", panel.unit), tip("y", ",.5~g", "value"), tip("message", title="what")]
    for severity in SEVERITIES:
        chosen = [r for r in panel.points if r["severity"] == severity.label]
        if chosen:
            look = {"color": colours.severity(severity), "stroke": colours.background}
            yield layer(
                chosen, mark("point", shape=SHAPES[severity], size=110, clip=True, **look), **panel.at, tooltip=words
            )


def _hover(panel: Panel, view: View, colours: Palette) -> Iterator[Spec]:
    """Show the values of the point nearest to the pointer, and let the reader drag over a range of x.

    What is shown is a layer of its own, of that point alone: where its look hung on the pointer, all points were drawn anew at every move.
    """
    words = [tip("trace", title="curve"), tip("step", ",", panel.unit), tip("y", ",.5~g", "value")]
    if view.axis != "step":
        words.append(tip("x", ",.4~g", panel.x_title or view.axis))
    near = {"type": "point", "nearest": True, "on": "pointerover", "clear": "pointerout", "encodings": ["x"]}
    sensor = layer("raw", mark("point", size=60, opacity=0, clip=True), **panel.at, tooltip=words)
    params = [{"name": "near", "select": near}, {"name": "zoom", "select": {"type": "interval", "encodings": ["x"]}}]
    there = {"filter": "isValid(datum.y)"}
    yield {**sensor, "transform": [there], "params": params}
    at_pointer = [there, {"filter": {"param": "near", "empty": False}}]
    line = layer("raw", mark("rule", color=colours.muted, opacity=0.5), x=panel.x)
    dot = layer("raw", mark("point", size=60, color=colours.muted, clip=True), **panel.at)
    yield {**line, "transform": at_pointer}
    yield {**dot, "transform": at_pointer}
