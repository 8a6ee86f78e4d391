"""Per-layer statistics over the run as a heat map, and the distribution of a norm as bars."""

from __future__ import annotations

import numpy as np

from lmdiag.charts.palette import LIGHT, palette
from lmdiag.charts.panel import LABEL_ROOM, Guide
from lmdiag.charts.panels import x_domain
from lmdiag.charts.part import Drawing, Part, Word
from lmdiag.charts.perplexity import round_values
from lmdiag.charts.stack import stacked
from lmdiag.charts.vega import AXIS, Place, Records, Spec, channel, domain, fitted, layer, mark, tip
from lmdiag.charts.view import View, axis_title, positions
from lmdiag.finding import Severity
from lmdiag.run import Run, Series

BINS_OVER_TIME = 80
BINS_OF_NORM = 40
MOST_LAYERS = 48
ROW = 18
NAME_LENGTH = 40
LABEL_LIMIT, TITLE = 110, 17  # pixels: of a label at most, and of the title that the axes of curves have beside theirs


def layers_of(run: Run, metric: str) -> dict[str, Series]:
    """Return the series of a metric by layer, in the order of the log: {layer: Series}.

    >>> run = Run("a", {"layers/block.0/grad_norm": Series(np.array([1]), np.array([0.5]))})
    >>> list(layers_of(run, "grad_norm"))
    ['block.0']
    """
    head, tail = "layers/", f"/{metric}"
    return {
        name[len(head) : -len(tail)]: series
        for name, series in run.series.items()
        if name.startswith(head) and name.endswith(tail) and len(series)
    }


def layer_heatmap(run: Run, metric: str, view: View) -> Drawing | None:
    """Draw how far a metric of each layer is from that layer's median, in powers of ten; None without the metric.

    Each cell shows the value farthest from the median among its steps; crosses mark values that are not finite.
    """
    found = dict(list(layers_of(run, metric).items())[:MOST_LAYERS])
    first, last = view.steps or (run.first_step, run.last_step)
    edges = np.linspace(first, last, BINS_OVER_TIME + 1)
    records = [record for name, series in found.items() for record in _row(run, name, view.cut(series), edges, view)]
    if not records:
        return None
    most = max(max((abs(r["power"]) for r in records if r["power"] is not None), default=1.0), 0.3)
    spectrum = palette(view.dark).spectrum
    scale = {"domain": [-most, 0, most], "range": list(spectrum), "interpolate": "rgb"}
    where = [tip("layer"), tip("steps", title=f"{run.unit}s")]
    words = [*where, tip("value", ",.4~g", metric), tip("power", ".2f", "powers of ten from the median")]
    names = list(dict.fromkeys(r["layer"] for r in records))

    def y(place: Place) -> Spec:
        axis = {
            "minExtent": LABEL_ROOM + TITLE,
            "orient": "left",
            "labelLimit": LABEL_LIMIT,
            "grid": False,
            "ticks": False,
            "domain": False,
        }
        return channel(
            "layer", "nominal", title=None, scale={"domain": names, "range": [place.top, place.bottom]}, axis=axis
        )

    def draw(place: Place) -> list[Spec]:
        cells = mark("rect", strokeWidth=0.6, clip=True)  # else the page shines through between the cells
        finite = [r for r in records if not r["lost"]]
        colour = channel("power", scale=scale, legend=None)
        drawn = [layer(finite, cells, x="x", x2="x2", y="layer", fill=colour, stroke=colour, tooltip=words)]
        lost = [r for r in records if r["lost"]]
        if lost:
            cross = mark("point", shape="cross", size=60, color=palette(view.dark).severity(Severity.ERROR))
            drawn.append(layer(lost, cross, x="x", y="layer", tooltip=[*where, tip("lost", ",", "not finite")]))
        return drawn

    shares = (f"{metric} by layer: median of the layer", f"{10**-most:.2g} times that", f"{10**most:.3g} times")
    legend = [Word(text, spectrum[i], shape="square") for text, i in zip(shares, (1, 0, 2))]
    part = Part(draw, y, ROW * len(found) + 10, x_domain(run, view), axis_title(run, view.axis), legend)
    spec = stacked([part], palette(view.dark))
    hidden = len(layers_of(run, metric)) - len(found)
    note = f"{hidden} more layers are not shown" if hidden else ""
    return Drawing(
        spec, f"{metric} of {len(found)} layers over the run, against the median of each layer.", note, part=part
    )


def _row(run: Run, name: str, series: Series, edges: np.ndarray, view: View) -> Records:
    positive = series.values[np.isfinite(series.values) & (series.values > 0)]
    if not len(series):
        return []
    median = float(np.median(positive)) if len(positive) else 1.0
    with np.errstate(divide="ignore", invalid="ignore"):
        powers = np.log10(series.values / median)
    starts = np.searchsorted(series.steps, edges)
    starts[-1] = len(series)
    records = []
    ends = positions(run, view.axis, edges)
    filled = [i for i in range(len(edges) - 1) if starts[i + 1] > starts[i]]
    for i, after in zip(filled, [*filled[1:], len(edges) - 1]):
        part = slice(starts[i], starts[i + 1])
        finite = np.isfinite(powers[part])
        cell = {
            "layer": name[:NAME_LENGTH],
            "x": float(ends[i]),
            "x2": float(ends[after]),
            "lost": int((~finite).sum()),
        }
        cell |= {"steps": f"{series.steps[part][0]:,} to {series.steps[part][-1]:,}", "power": None, "value": None}
        if finite.any():
            at = int(np.nanargmax(np.abs(np.where(finite, powers[part], np.nan))))
            cell |= {"power": round(float(powers[part][at]), 4), "value": float(f"{series.values[part][at]:.5g}")}
        records.append(cell)
    return records


def distribution_chart(series: Series, title: str, guides: tuple[Guide, ...] = ()) -> Drawing | None:
    """Draw a histogram of a positive metric on a log axis; None without a positive value."""
    values = series.values[np.isfinite(series.values) & (series.values > 0)]
    if not len(values):
        return None
    counts, edges = np.histogram(np.log10(values), bins=BINS_OF_NORM)
    records = [
        {"x": float(10**low), "x2": float(10**high), "count": int(n), "zero": 0}
        for low, high, n in zip(edges, edges[1:], counts)
        if n
    ]
    marks = round_values(
        float(10 ** edges[0]), float(10 ** edges[-1])
    )  # else the ends of a short scale have no numbers
    x = channel("x", title=title, scale=domain(None, log=True), axis={**AXIS, "format": "~g", "values": marks})
    y = channel("count", title="records")
    words = [tip("x", ",.3~g", "from"), tip("x2", ",.3~g", "to"), tip("count", ",")]
    layers = [layer(records, mark("bar", color=LIGHT.fifth), x=x, x2="x2", y=y, y2="zero", tooltip=words)]
    if guides:
        lines = [{"x": g.value, "words": g.words} for g in guides]
        layers.append(layer(lines, mark("rule", strokeDash=[3, 3], color=LIGHT.muted), x=x, tooltip=[tip("words")]))
    low, mid, high = np.quantile(values, [0.05, 0.5, 0.95])
    alt = f"Distribution of {title}: median {mid:.3g}, 90% of the records between {low:.3g} and {high:.3g}."
    return Drawing(fitted({"layer": layers, "height": 220}), alt)
