"""A series as the records of a chart: thinned, with gaps where values are not finite and marks for what lies off the scale."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lmdiag.charts.smoothing import half_life_mean
from lmdiag.charts.thinning import extremes, stretches
from lmdiag.charts.view import View, positions
from lmdiag.run import Run, Series

Records = list[dict[str, Any]]
MOST_MARKS = 100
SMOOTH_BUCKETS = 200
LARGEST = 1e150  # scales stop here, so that their arithmetic cannot overflow
LARGEST_LOSS = 300.0  # of which a perplexity is still a number to draw
OUTLIER_SPANS = 2.0  # how many times the usual span an outlier may lie outside before the scale leaves it out
OUTLIER_SPANS_LOG = 8.0


@dataclass(frozen=True)
class Trace:
    """One curve of a chart: the name in the legend, its values on the scale of the chart, its points and its smooth mean.

    `values` is what is drawn (a loss, or exp of it), `chosen` the indices that survive thinning, `metric` its canonical name.
    """

    name: str
    series: Series
    x: np.ndarray
    values: np.ndarray
    chosen: np.ndarray
    metric: str = ""
    smooth: np.ndarray | None = None

    @property
    def finite(self) -> np.ndarray:
        """The values that are numbers."""
        return self.values[np.isfinite(self.values)]


def trace(
    run: Run, name: str, metric: str, series: Series, view: View, flagged: Iterable[int] = (), geometric: bool = False
) -> Trace:
    """Prepare a series for drawing; the points at the `flagged` steps are kept whatever happens to the others.

    `geometric` smooths the logarithms, as fits a log scale.
    """
    values, smooth = drawn_values(run, series, view), None
    if view.half_life > 0 and len(series) > 2:
        smooth = _smooth(run, series, values, view, geometric)
    if view.steps is not None:
        first, stop = np.searchsorted(series.steps, [view.steps[0], view.steps[1] + 0.5])
        series, values = view.cut(series), values[first:stop]
        smooth = None if smooth is None else smooth[first:stop]
    keep = np.flatnonzero(np.isin(series.steps, np.fromiter(flagged, np.int64)))
    chosen = extremes(values, keep[np.isfinite(values[keep])])
    return Trace(name, series, positions(run, view.axis, series.steps), values, chosen, metric, smooth)


def _smooth(run: Run, series: Series, values: np.ndarray, view: View, geometric: bool) -> np.ndarray:
    """Smooth what was logged, then rescale: the perplexity of a mean loss, never a mean of perplexities."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logged = np.where(np.isfinite(values), series.values, np.nan)
        logged = np.log(logged) if geometric else logged
    mean = half_life_mean(series.steps, logged, view.half_life)
    return np.exp(mean) if geometric else _rescale(run, mean, view)


def drawn_values(run: Run, series: Series, view: View) -> np.ndarray:
    """Return a loss as what the reader wants to see of it; `loss_as` has no effect on anything but the loss charts."""
    return _rescale(run, series.values, view)


def _rescale(run: Run, loss: np.ndarray, view: View) -> np.ndarray:
    if view.loss_as == "perplexity":
        return np.exp(np.minimum(loss, LARGEST_LOSS))
    if view.loss_as == "bits_per_byte":
        return loss / (np.log(2) * float(run.config.get("bytes_per_token") or 1.0))
    return loss


def scale_domain(
    traces: Sequence[Trace], log: bool, full: bool, levels: Sequence[float] = (), marked: Sequence[float] = ()
) -> tuple[float, float] | None:
    """Return the lowest and highest value to show, or None when there is no number to show.

    `levels` and `marked` values are shown, too, unless that would squeeze the curve; marked ones may squeeze it more.
    Unless `full`, values beyond `OUTLIER_SPANS` times the span of the middle 96% are left to the marks at the edge.
    """
    values = np.concatenate([t.finite for t in traces] or [np.empty(0)])
    values = (values[values > 0] if log else values).clip(-LARGEST, LARGEST)
    if not len(values):
        return None
    low, high = float(values.min()), float(values.max())
    scaled = np.log(values) if log else values
    bottom, top = np.quantile(scaled, [0.02, 0.98])
    room = (OUTLIER_SPANS_LOG if log else OUTLIER_SPANS) * max(top - bottom, 1e-12 * abs(top), 1e-300)
    if not full and len(values) >= 20:
        shown = scaled[(scaled >= bottom - room) & (scaled <= top + room)]
        low, high = (float(np.exp(v)) if log else float(v) for v in (shown.min(), shown.max()))
    near = [v for v in levels if _close(v, low, high, log, 0.25)] + [
        v for v in marked if _close(v, low, high, log, 3.0)
    ]
    return _padded(min([low, *near]), max([high, *near]), log)


def _close(level: float, low: float, high: float, log: bool, room: float) -> bool:
    """Whether a level lies within `room` times the range of the values (on a log scale: a factor of 4, or 4,000)."""
    if not np.isfinite(level) or (log and level <= 0):
        return False
    if log:
        factor = 4.0 * 10.0 ** (room if room > 1 else 0)
        return low / factor <= level <= high * factor
    return low - room * (high - low) <= level <= high + room * (high - low)


def _padded(low: float, high: float, log: bool) -> tuple[float, float]:
    if log:
        margin = max(high / low, 1.05) ** 0.05
        return low / margin, high * margin
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin


def line_records(t: Trace) -> Records:
    """Return the points of the line, with a gap (null) wherever something that is not a number lies between two."""
    return _with_gaps(t, t.values, t.chosen)


def smooth_records(t: Trace) -> Records:
    """Return the points of the smooth mean, thinned like the line itself."""
    return [] if t.smooth is None else _with_gaps(t, t.smooth, extremes(t.smooth, buckets=SMOOTH_BUCKETS))


def _with_gaps(t: Trace, values: np.ndarray, chosen: np.ndarray) -> Records:
    lost = np.cumsum(~np.isfinite(t.values))
    records: Records = []
    previous = None
    for i in chosen.tolist():
        if previous is not None and lost[i] != lost[previous]:
            records.append({"x": float(t.x[previous]), "y": None, "trace": t.name})
        records.append({"x": _tidy(t.x[i]), "y": _tidy(values[i]), "step": int(t.series.steps[i]), "trace": t.name})
        previous = i
    return records


def lost_records(t: Trace) -> Records:
    """Return where the values are no numbers: first and last position, how many, and which of NaN and the infinities."""
    return [
        {
            "x": float(t.x[first]),
            "x2": float(t.x[last]),
            "step": int(t.series.steps[first]),
            "count": count,
            "what": _kinds(t.series.values[first : last + 1]),
            "trace": t.name,
        }
        for first, last, count in stretches(~np.isfinite(t.values))
    ]


def _kinds(values: np.ndarray) -> str:
    names = {"NaN": np.isnan(values), "Infinity": np.isposinf(values), "-Infinity": np.isneginf(values)}
    return ", ".join(name for name, found in names.items() if found.any()) or "too large to write down"


def off_scale_records(t: Trace, domain: tuple[float, float]) -> Records:
    """Return the points outside the scale, farthest first and at most `MOST_MARKS`, to be marked at its edge."""
    with np.errstate(invalid="ignore"):
        outside = np.flatnonzero(np.isfinite(t.values) & ((t.values < domain[0]) | (t.values > domain[1])))
    if len(outside) > MOST_MARKS:
        outside = outside[extremes(t.values[outside], buckets=MOST_MARKS // 2)]
    return [
        {
            "x": _tidy(t.x[i]),
            "y": _tidy(t.values[i]),
            "edge": "above" if t.values[i] > domain[1] else "below",
            "step": int(t.series.steps[i]),
            "trace": t.name,
        }
        for i in outside.tolist()
    ]


def _tidy(value: float) -> float:
    """Seven digits are more than a screen shows, and a third of the bytes."""
    return float(f"{value:.7g}")


def shown(traces: Sequence[Trace]) -> str:
    """Say how many points are drawn, or nothing when all are.

    >>> shown([])
    ''
    """
    drawn, logged = sum(len(t.chosen) for t in traces), sum(len(t.finite) for t in traces)
    if drawn >= logged:
        return ""
    return f"{drawn:,} of {logged:,} points"
