"""One panel: curves over the run, with findings, gaps and outliers marked on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from lmdiag.charts.palette import DASHES, SHAPES, Palette, cycled, palette
from lmdiag.charts.part import Part, Word
from lmdiag.charts.perplexity import round_values
from lmdiag.charts.traces import Trace, line_points, off_scale_records, smooth_points
from lmdiag.charts.vega import AXIS, SHORT, Place, Records, Spec, channel, domain, layer, mark, room, table, tip
from lmdiag.charts.view import View
from lmdiag.finding import Severity

LABEL_ROOM = 50  # pixels for the labels left of every panel, so that the panels line up
FEW_POINTS = 60  # so few that each is drawn as a point, too
ROW = 38  # pixels of height for a label of the y axis
SEVERITIES = (Severity.INFO, Severity.WARNING, Severity.ERROR)  # drawn in this order, the worst on top
BELOW = 0.35  # the opacity of a curve below its smooth mean
BEHIND = 0.12  # the opacity of curves that stand behind others
WORDY = 150  # pixels of height, from which a panel explains what others have, too
MOST_RULES = 3  # named beside the shape that marks them


@dataclass(frozen=True)
class Guide:
    """A level to compare with: a horizontal line and its label."""

    value: float
    words: str


@dataclass(frozen=True)
class Band:
    """A range around a curve: the number of the curve, and the lowest and highest value at each position; `words` explain it."""

    curve: int
    x: np.ndarray
    low: np.ndarray
    high: np.ndarray
    words: str = ""


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
    y_format: str = ""
    height: int = 92
    spans: Records = field(default_factory=list)
    points: Records = field(default_factory=list)
    guides: Sequence[Guide] = ()
    best: Records = field(default_factory=list)
    bars: Records = field(default_factory=list)
    links: Records = field(default_factory=list)
    ahead: Records = field(default_factory=list)
    bands: Sequence[Band] = ()
    named: bool = True  # the names of its curves stand above it
    picked: Sequence[int] = ()  # the curves that stand in front of all others, by number

    @cached_property
    def outside(self) -> Records:
        """The points that are not on the scale, to be marked at its edge."""
        return [r for t in self.traces for r in off_scale_records(t, self.y_domain)] if self.y_domain else []

    def y(self, place: Place) -> Spec:
        """Return the y channel of every layer at this place; what lies beyond the scale is drawn at its edge."""
        ticks = max(self.height // ROW, 3)
        axis = {
            **AXIS,
            **room(LABEL_ROOM),
            "orient": "left",
            "labelExpr": self._labels,
            "tickCount": ticks,
            "titlePadding": 6,
        }
        axis |= {"titleLimit": {"expr": f"{place.height} + 16"}, "titleFontSize": 11, "grid": True}
        if self.log and self.y_domain:
            axis["values"] = round_values(*self.y_domain, most=ticks + 1)
        scale = domain(self.y_domain, self.log, clamp=True, range=place.range)
        return channel("y", title=self.title, scale=scale, axis=axis)

    @property
    def _labels(self) -> str:
        if self.y_format == "bytes":
            return "format(datum.value, '.3~s') + 'B'"
        if self.y_format:
            return f"datum.value === 0 ? '0' : {SHORT.format('datum.value', self.y_format)}"
        small = "abs(datum.value) < 1e-3 ? format(datum.value, '.2~e')"
        large = f"abs(datum.value) >= 1e5 ? {SHORT.format('datum.value', '.3~s')}"
        return f"datum.value === 0 ? '0' : {small} : {large} : format(datum.value, ',.4~r')"


def part_of(panel: Panel, view: View, side: Spec | None = None) -> Part:
    """Return a panel as a part of a stack, with an axis on the right for the same values where `side` is one."""
    colours = palette(view.dark)
    curves = cycled(colours.cycle, len(panel.traces))
    drawn = (_spans, _bands, _ahead, _links, _guides, _bars, _lines, _edge_marks, _best, _finding_points)

    def draw(place: Place) -> list[Spec]:
        return [one for part in drawn for one in part(panel, colours, place)]

    def right(place: Place) -> Spec:
        low, high = panel.y_domain or (0.0, 1.0)
        y = {**panel.y(place), "axis": side, "title": None}
        return layer([{"y": low}, {"y": high}], {"type": "point", "opacity": 0}, x={"value": 0}, y=y)

    return Part(
        draw,
        panel.y,
        panel.height,
        panel.x_domain,
        panel.x_title,
        list(_words(panel, colours, curves)),
        panel.traces,
        curves,
        right if side else None,
    )


def _words(panel: Panel, colours: Palette, curves: Sequence[str]) -> Iterator[Word]:
    """Yield what explains the curves and the marks, so that no word lies on them."""
    if len(panel.traces) > 1 and panel.named:
        dashes = cycled(DASHES, len(panel.traces), True)
        for t, colour, dash in zip(panel.traces, curves, dashes):
            yield Word(t.name, colour, dash)
    for record in panel.best:
        yield Word(record["words"], colours.evaluation, shape="diamond")
    if panel.bars:
        yield Word("scatter of one evaluation", colours.evaluation, shape=BAR)
    for band in panel.bands:
        if band.words:
            yield Word(band.words, curves[band.curve], shape="square")
    if any(_cut_at(panel, Place())):
        yield Word("the range goes on", colours.muted, shape="triangle-up")
    low, high = panel.y_domain or (0.0, 0.0)
    levels = [guide.words for guide in panel.guides if low <= guide.value <= high]
    if levels:
        yield Word(", ".join(levels), colours.muted, (3, 3))
    for record in panel.ahead[-1:]:
        yield Word(record["words"], colours.training, (5, 4))
    yield from _words_on_marks(panel, colours)


BAR = "M0,-1.4L0,1.4M-0.5,-1.4L0.5,-1.4L0.5,1.4L-0.5,1.4Z"


def _words_on_marks(panel: Panel, colours: Palette) -> Iterator[Word]:
    for severity in reversed(SEVERITIES):
        rules = list(dict.fromkeys(r["rule"] for r in panel.points if r["severity"] == severity.label))
        if rules:
            more = f" and {len(rules) - MOST_RULES} more" if len(rules) > MOST_RULES else ""
            yield Word(", ".join(rules[:MOST_RULES]) + more, colours.severity(severity), shape=SHAPES[severity])
    lost = list(dict.fromkeys(r["what"] for t in panel.traces for r in t.lost_marks))
    if lost:
        yield Word(", ".join(lost), colours.severity(Severity.ERROR), shape=SHAPES[Severity.ERROR])
    if panel.outside:
        yield Word("off the scale", colours.muted, shape="triangle-up")
    if panel.links and panel.height >= WORDY:
        yield Word(panel.links[0]["what"], colours.severity(Severity.WARNING), (4, 2))


def _spans(panel: Panel, colours: Palette, place: Place) -> Iterator[Spec]:
    for severity in SEVERITIES:
        chosen = [r for r in panel.spans if r["severity"] == severity.label and r["x2"] > r["x"]]
        opacity = 0.13 if severity > Severity.INFO else 0.06
        if chosen:
            band = mark("rect", opacity=opacity, color=colours.severity(severity), clip=True)
            yield layer(chosen, band, x="x", x2="x2", **_whole(place))


def _whole(place: Place) -> dict[str, Spec]:
    """Return the channels of what is as high as the panel."""
    return {"y": {"value": place.top}, "y2": {"value": place.bottom}}


def _ahead(panel: Panel, colours: Palette, place: Place) -> Iterator[Spec]:
    """Draw the forecast of the loss: a band for its 90% interval, and a dashed line in the middle."""
    if panel.ahead:
        words = [tip("words", title="forecast"), tip("step", ",", f"at {panel.unit}")]
        band = mark("area", color=colours.training, opacity=0.22, clip=True)
        yield layer(panel.ahead, band, x="x", y="low", y2="high", tooltip=words)
        yield layer(
            panel.ahead,
            mark("line", color=colours.training, strokeDash=[5, 4], strokeWidth=1.6, clip=True),
            x="x",
            y="y",
        )


def _links(panel: Panel, colours: Palette, place: Place) -> Iterator[Spec]:
    if panel.links:
        line = mark(
            "rule", color=colours.severity(Severity.WARNING), strokeWidth=1.5, strokeDash=[4, 2], opacity=0.8, clip=True
        )
        words = [
            tip("what"),
            tip("gradient", ",", f"gradient at {panel.unit}"),
            tip("loss", ",", f"loss at {panel.unit}"),
        ]
        yield layer(panel.links, line, x="x", **_whole(place), tooltip=words)


def _guides(panel: Panel, colours: Palette, place: Place) -> Iterator[Spec]:
    low, high = panel.y_domain or (0.0, 0.0)
    records: Records = [{"y": g.value, "words": g.words} for g in panel.guides if low <= g.value <= high]
    if records:
        line = mark("rule", strokeDash=[3, 3], color=colours.muted, opacity=0.9)
        yield layer(records, line, y="y", x={"value": 0}, x2={"value": {"expr": "width"}}, tooltip=[tip("words")])


def _bars(panel: Panel, colours: Palette, place: Place) -> Iterator[Spec]:
    if panel.bars:
        bar = mark("rule", color=colours.evaluation, strokeWidth=1.4, opacity=0.7, clip=True)
        words = [tip("step", ",", panel.unit), tip("sigma", ",.3~g", "one evaluation scatters by ±")]
        yield layer(panel.bars, bar, x="x", y="y", y2="y2", tooltip=words)


def _bands(panel: Panel, colours: Palette, place: Place) -> Iterator[Spec]:
    """Draw the ranges, and mark at the edge where the scale cuts them."""
    if not panel.bands:
        return
    columns = [np.concatenate([getattr(b, name) for b in panel.bands]) for name in ("x", "low", "high")]
    numbers = np.concatenate([np.full(len(b.x), b.curve, float) for b in panel.bands])
    colour = _look(panel, colours)["color"]
    band = mark("area", opacity=0.18, clip=True)
    ranges = table(f"bands{place.number}", ["t", "x", "low", "high"], [numbers, *columns])
    yield layer(ranges, band, x="x", y="low", y2="high", color=colour)
    for edge, at, shape in _cut_at(panel, place):
        x = [b.x[edge(b)][:: max(int(edge(b).sum()) // 8, 1)] for b in panel.bands]
        point = mark("point", shape=shape, size=45, yOffset=5 if shape == "triangle-up" else -5)
        records = [{"x": float(v), "t": b.curve} for b, places in zip(panel.bands, x) for v in places]
        yield layer(records, point, x="x", y={"value": at}, color=colour)


def _cut_at(panel: Panel, place: Place) -> Iterator[tuple[Callable[[Band], np.ndarray], Spec, str]]:
    """Yield each edge of the scale beyond which a range reaches: the test of it, where it is, and its mark."""
    if panel.y_domain is None:
        return
    low, high = panel.y_domain
    if any((b.high > high).any() for b in panel.bands):
        yield lambda b: b.high > high, place.top, "triangle-up"
    if any((b.low < low).any() for b in panel.bands):
        yield lambda b: b.low < low, place.bottom, "triangle-down"


def curve_table(name: str, curves: Sequence[tuple[int, np.ndarray, np.ndarray]]) -> Spec:
    """Return the points of curves as one table: the number of the curve, x and y."""
    numbers = np.concatenate([np.full(len(x), t, float) for t, x, _ in curves] or [np.empty(0)])
    x, y = (np.concatenate([curve[part] for curve in curves] or [np.empty(0)]) for part in (1, 2))
    return table(name, ["t", "x", "y"], [numbers, x, y])


def _lines(panel: Panel, colours: Palette, place: Place) -> Iterator[Spec]:
    """Draw the raw line, faint below a smooth mean; few points are drawn one by one, too."""
    look = _look(panel, colours)
    raw, smooth = (
        f"raw{place.number}",
        [(i, *smooth_points(t)) for i, t in enumerate(panel.traces) if t.smooth is not None],
    )
    smoothed = [number for number, _, _ in smooth]
    bare = [number for number in range(len(panel.traces)) if number not in smoothed]
    lines = curve_table(raw, [(i, *line_points(t)) for i, t in enumerate(panel.traces)])
    drawn: list[tuple[Spec | str, Spec, list[int]]] = [(lines, _line(BELOW if smoothed else 0.95), smoothed or bare)]
    if smoothed and bare:
        drawn.append((raw, _line(0.95), bare))
    if smoothed:
        drawn.append((curve_table(f"smooth{place.number}", smooth), _line(1, 2.2), smoothed))
    for data, line, shown in drawn:
        if panel.picked:
            yield _only(layer(data, {**line, "opacity": BEHIND}, x="x", y="y", **look), shown)
            data, shown = data["name"] if isinstance(data, dict) else data, [i for i in shown if i in panel.picked]
        yield _only(layer(data, line, x="x", y="y", **look), shown)
    few = [i for i, t in enumerate(panel.traces) if t.logged <= FEW_POINTS]
    if few:
        point = layer(raw, mark("point", size=22, opacity=0.9, clip=True), x="x", y="y", color=look["color"])
        yield _only({**point, "transform": [{"filter": "isValid(datum.y)"}]}, few)


def _line(opacity: float, width: float = 1.0) -> Spec:
    return mark("line", strokeWidth=width, opacity=opacity, clip=True)


def _only(one: Spec, numbers: Sequence[int]) -> Spec:
    """Return a layer of a table of curves that shows only those of these numbers."""
    chosen = {"filter": f"indexof({list(numbers)}, datum.t) >= 0"}
    return {**one, "transform": [*one.get("transform", ()), chosen]}


def _look(panel: Panel, colours: Palette) -> dict[str, Spec]:
    """Return colour and dashes, of which no two curves have both alike."""
    count = len(panel.traces)
    return {"color": _by_curve(cycled(colours.cycle, count)), "strokeDash": _by_curve(cycled(DASHES, count, True))}


def _by_curve(looks: Sequence[object]) -> Spec:
    return channel("t", "nominal", legend=None, scale={"domain": list(range(len(looks))), "range": list(looks)})


def _edge_marks(panel: Panel, colours: Palette, place: Place) -> Iterator[Spec]:
    """Mark at the edge what is not on the scale: values that are not finite, and outliers."""
    lost = [r for t in panel.traces for r in t.lost_marks]
    if lost:
        y, colour = {"value": place.bottom}, colours.severity(Severity.ERROR)
        yield layer(lost, mark("rule", strokeWidth=5, color=colour, opacity=0.6), x="x", x2="x2", y=y)
        cross = mark("point", shape=SHAPES[Severity.ERROR], size=90, color=colour, yOffset=-7)
        words = [tip("step", ",", panel.unit), tip("what", title="value"), tip("count", ",")]
        yield layer(lost, cross, x="x", y=y, tooltip=words)
    for edge, at, shape, offset in (
        ("above", place.top, "triangle-up", 5),
        ("below", place.bottom, "triangle-down", -5),
    ):
        chosen = [r for r in panel.outside if r["edge"] == edge]
        if chosen:
            point = mark("point", shape=shape, size=45, color=colours.muted, yOffset=offset)
            words = [tip("step", ",", panel.unit), tip("y", ",.5~g", "value, off the scale")]
            yield layer(chosen, point, x="x", y={"value": at}, tooltip=words)


def _best(panel: Panel, colours: Palette, place: Place) -> Iterator[Spec]:
    if panel.best:
        diamond = mark(
            "point", shape="diamond", size=130, clip=True, color=colours.evaluation, stroke=colours.background
        )
        yield layer(panel.best, diamond, x="x", y="y", tooltip=[tip("words")])


def _finding_points(panel: Panel, colours: Palette, place: Place) -> Iterator[Spec]:
    words = [tip("rule"), tip("step", ",", panel.unit), tip("y", ",.5~g", "value"), tip("message", title="what")]
    for severity in SEVERITIES:
        chosen = [r for r in panel.points if r["severity"] == severity.label]
        if chosen:
            look = {"color": colours.severity(severity), "stroke": colours.background}
            yield layer(
                chosen, mark("point", shape=SHAPES[severity], size=110, clip=True, **look), x="x", y="y", tooltip=words
            )
