"""A series as the records of a chart: thinned, with gaps where values are not finite and marks for outliers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from lmdiag.charts.downsampling import blocks, candidates, extremes, joined, lost_stretches, rows_in, stretches
from lmdiag.charts.smoothing import half_life_mean
from lmdiag.charts.vega import DIGITS, Records
from lmdiag.charts.view import View, positions
from lmdiag.run import Run, Series
from lmdiag.stats.windows import distinct

MOST_MARKS = 100
SMOOTH_BUCKETS = 200
LARGEST = 1e150  # scales stop here, so that their arithmetic cannot overflow
LARGEST_LOSS = 300.0  # of which a perplexity is still a number to draw
OUTLIER_SPANS = 2.0  # how many times the usual span an outlier may lie outside before the scale leaves it out
OUTLIER_SPANS_LOG = 8.0
ENOUGH_FOR_SCALE = 10_000  # values at even distances tell which range is usual
REACH = 20  # half-lives, beyond which a value weighs a millionth


@dataclass(frozen=True)
class Mean:
    """The smooth mean of a curve: its points, and the rows up to which they reach."""

    x: np.ndarray
    values: np.ndarray
    rows: np.ndarray


@dataclass(frozen=True)
class Trace:
    """One curve of a chart: the name in the legend, its points on the scale of the chart and its smooth mean.

    `rows` are the finite points of `series` that are considered: all of a short series, the extremes of a long one. `x`
    and `values` (a loss, or exp of it) are their coordinates, `chosen` the indices of those that are drawn. `usual` are
    evenly spaced values, for the scale. `lost` has the first and last row of each stretch of values that are not
    finite, `lost_marks` where to mark them; `logged` counts the finite values. `metric` is the canonical name.
    """

    name: str
    series: Series
    x: np.ndarray
    values: np.ndarray
    rows: np.ndarray
    chosen: np.ndarray
    lost: np.ndarray
    lost_marks: Records
    logged: int
    usual: np.ndarray
    metric: str = ""
    smooth: Mean | None = None
    positive: bool = False  # it stands on a log scale, on which 0 has no place
    buckets: int = SMOOTH_BUCKETS  # into which the smooth mean is thinned

    @property
    def steps(self) -> np.ndarray:
        """The steps of the points in `rows`."""
        return self.series.steps[self.rows]

    def index_of(self, step: int) -> int | None:
        """Return the index of the point at a step, None where `rows` does not have it."""
        row = int(np.searchsorted(self.series.steps, step))
        i = int(np.searchsorted(self.rows, row))
        there = i < len(self.rows) and self.rows[i] == row and self.series.steps[row] == step
        return i if there else None


def trace(
    run: Run, name: str, metric: str, series: Series, view: View, flagged: Iterable[int] = (), geometric: bool = False
) -> Trace:
    """Prepare a series for drawing; the points at the `flagged` steps are always kept.

    `geometric` smooths the logarithms, for a log scale.
    """
    start, stop = rows_in(series, view.steps)
    keep = _rows_of(series, flagged, start, stop)
    rows = distinct(np.concatenate([candidates(series, start, stop), keep]))
    values = rescaled(run, series.values[rows], view)
    lost = lost_stretches(series, start, stop)
    even = series.values[start : stop : max((stop - start) // ENOUGH_FOR_SCALE, 1)]
    return Trace(
        name,
        series,
        positions(run, view.axis, series.steps[rows]),
        values,
        rows,
        extremes(values, np.searchsorted(rows, keep)),
        lost,
        _lost_records(run, name, series, lost, view),
        stop - start - int((lost[:, 1] - lost[:, 0] + 1).sum()),
        rescaled(run, even[np.isfinite(even)], view),
        metric,
        _smooth(run, series, view, geometric) if view.half_life > 0 and len(series) > 2 else None,
        geometric and bool((values > 0).any()),
    )


def _lost_records(run: Run, name: str, series: Series, lost: np.ndarray, view: View) -> Records:
    """Return where values are not finite: first and last position, how many, and whether NaN or infinities."""
    found = joined(lost)
    rows = np.array([(first, last) for first, last, _ in found], np.int64).reshape(-1, 2)
    places = positions(run, view.axis, series.steps[rows]).tolist()
    return [
        {
            "x": x,
            "x2": x2,
            "step": int(series.steps[first]),
            "count": count,
            "what": _kinds(series.values[first : last + 1]),
            "trace": name,
        }
        for (first, last, count), (x, x2) in zip(found, places)
    ]


def _rows_of(series: Series, steps: Iterable[int], start: int, stop: int) -> np.ndarray:
    """Return the rows of those steps that have a finite value in view."""
    wanted = np.fromiter(steps, np.int64)
    rows = np.searchsorted(series.steps, wanted)
    rows, wanted = rows[(rows >= start) & (rows < stop)], wanted[(rows >= start) & (rows < stop)]
    return distinct(rows[(series.steps[rows] == wanted) & np.isfinite(series.values[rows])])


def _smooth(run: Run, series: Series, view: View, geometric: bool) -> Mean:
    """Smooth the logged values, then rescale them: the perplexity of a mean loss, never a mean of perplexities."""
    first, last = view.steps or (-np.inf, np.inf)
    reach = REACH * view.half_life
    rows = rows_in(series, view.steps and (first - reach, last))
    near = blocks(series, *rows, geometric, view.onsets)
    mean = half_life_mean(near.steps, near.means, view.half_life, near.counts, view.onsets)
    inside = slice(*np.searchsorted(near.steps, [first, last + 0.5]))
    mean, steps = mean[inside], near.steps[inside]
    values = np.exp(mean) if geometric else rescaled(run, mean, view)
    return Mean(positions(run, view.axis, steps), values, near.rows[inside])


def rescaled(run: Run, loss: np.ndarray, view: View) -> np.ndarray:
    """Return a loss as what `view.loss_as` asks for; only the loss charts set it."""
    if view.loss_as == "perplexity":
        return np.exp(np.minimum(loss, LARGEST_LOSS))
    if view.loss_as == "bits_per_byte":
        return loss / (np.log(2) * float(run.config.get("bytes_per_token") or 1.0))
    return loss


def scale_domain(
    traces: Sequence[Trace], log: bool, full: bool, levels: Sequence[float] = (), marked: Sequence[float] = ()
) -> tuple[float, float] | None:
    """Return the lowest and highest value to show, or None when there is no number to show.

    The scale also covers `levels` and `marked` values, unless that would squeeze the curve; marked ones may squeeze it
    more. Unless `full`, values beyond `OUTLIER_SPANS` times the span of the middle 96% are only marked at the edge.
    """
    values = _on_scale([t.values for t in traces], log)
    if not len(values):
        return None
    low, high = float(values.min()), float(values.max())
    scaled = np.log(values) if log else values
    usual = _on_scale([t.usual for t in traces], log)
    bottom, top = np.quantile((np.log(usual) if log else usual) if len(usual) else scaled, [0.02, 0.98])
    room = (OUTLIER_SPANS_LOG if log else OUTLIER_SPANS) * max(top - bottom, 1e-12 * abs(top), 1e-300)
    if not full and len(values) >= 20:
        shown = scaled[(scaled >= bottom - room) & (scaled <= top + room)]
        low, high = (float(np.exp(v)) if log else float(v) for v in (shown.min(), shown.max()))
    near = [v for v in levels if _close(v, low, high, log, 0.25)] + [
        v for v in marked if _close(v, low, high, log, 3.0)
    ]
    return _padded(min([low, *near]), max([high, *near]), log)


def _on_scale(values: Sequence[np.ndarray], log: bool) -> np.ndarray:
    together = np.concatenate([*values, np.empty(0)])
    return (together[together > 0] if log else together).clip(-LARGEST, LARGEST)


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


def line_points(t: Trace) -> tuple[np.ndarray, np.ndarray]:
    """Return x and y of the line, with a gap (NaN) wherever a value between two points is not finite, or not on the scale."""
    chosen = t.chosen[t.values[t.chosen] > 0] if t.positive else t.chosen
    return _with_gaps(t, t.x[chosen], t.values[chosen], t.rows[chosen])


def smooth_points(t: Trace) -> tuple[np.ndarray, np.ndarray]:
    """Return x and y of the smooth mean, thinned like the line itself."""
    if t.smooth is None:
        return np.empty(0), np.empty(0)
    chosen = extremes(t.smooth.values, buckets=t.buckets)
    return _with_gaps(t, t.smooth.x[chosen], t.smooth.values[chosen], t.smooth.rows[chosen])


def _with_gaps(t: Trace, x: np.ndarray, values: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    lost = stretches(~(t.series.values > 0)) if t.positive else t.lost
    after = np.flatnonzero(np.diff(np.searchsorted(lost[:, 0], rows)) > 0) + 1
    return np.insert(x, after, x[after - 1]), np.insert(values.astype(float), after, np.nan)


def _kinds(values: np.ndarray) -> str:
    names = {"NaN": np.isnan(values), "Infinity": np.isposinf(values), "-Infinity": np.isneginf(values)}
    return ", ".join(name for name, found in names.items() if found.any()) or "too large to write down"


def off_scale_records(t: Trace, domain: tuple[float, float]) -> Records:
    """Return the points outside the scale, farthest first and at most `MOST_MARKS`, to be marked at its edge."""
    outside = np.flatnonzero((t.values < domain[0]) | (t.values > domain[1]))
    if len(outside) > MOST_MARKS:
        outside = outside[extremes(t.values[outside], buckets=MOST_MARKS // 2)]
    return [
        {
            "x": _tidy(t.x[i]),
            "y": _tidy(t.values[i]),
            "edge": "above" if t.values[i] > domain[1] else "below",
            "step": int(t.series.steps[t.rows[i]]),
            "trace": t.name,
        }
        for i in outside.tolist()
    ]


def _tidy(value: float) -> float:
    """Round to seven digits: more than a screen shows, in a third of the bytes."""
    return float(f"{value:.{DIGITS}g}")


def shown(traces: Sequence[Trace]) -> str:
    """Say how many points are drawn, or nothing when all are.

    >>> shown([])
    ''
    """
    drawn, logged = sum(len(t.chosen) for t in traces), sum(t.logged for t in traces)
    if drawn >= logged:
        return ""
    return f"{drawn:,} of {logged:,} points"
