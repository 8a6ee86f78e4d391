"""A long series seen from afar: the extremes and the mean of every block of it, found once and kept while the series lives.

A view of a million points then costs as much as one of thirty thousand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar
from weakref import WeakKeyDictionary

import numpy as np

from lmdiag.charts.thinning import BUCKETS, extremes, stretches
from lmdiag.run import Series
from lmdiag.stats.windows import distinct

BLOCK = 64  # points, of which the two extremes stand for all
MOST_RAW = 2 * BLOCK * BUCKETS  # a view of fewer points looks at every one of them
MOST_PARTS = 50  # beyond that many gaps the blocks run on across them

Result = TypeVar("Result")
_KEPT: WeakKeyDictionary[object, dict[str, object]] = WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class Blocks:
    """The means of neighbouring values: the step in the middle of each block, its mean (NaN without a value), and of how many."""

    rows: np.ndarray
    steps: np.ndarray
    means: np.ndarray
    counts: np.ndarray


def kept(owner: object, name: str, make: Callable[[], Result]) -> Result:
    """Return what `make` returns, from memory once it was made for this owner."""
    known = _KEPT.setdefault(owner, {})
    if name not in known:
        known[name] = make()
    return known[name]  # type: ignore[return-value]


def rows_in(series: Series, steps: tuple[float, float] | None) -> tuple[int, int]:
    """Return the first row of a series within a range of steps, and the row after the last."""
    if steps is None:
        return 0, len(series)
    start, stop = np.searchsorted(series.steps, [steps[0], steps[1] + 0.5])
    return int(start), int(stop)


def candidates(series: Series, start: int, stop: int) -> np.ndarray:
    """Return the rows from `start` to `stop` worth looking at: all finite ones, of many the extremes of every block and both ends."""
    if stop - start <= MOST_RAW:
        return start + np.flatnonzero(np.isfinite(series.values[start:stop]))
    known = kept(series, "extremes", lambda: extremes(series.values, buckets=-(-len(series) // BLOCK)))
    inside = known[np.searchsorted(known, start) : np.searchsorted(known, stop)]
    ends = (_first_finite(series.values, range(start, stop)), _first_finite(series.values, range(stop - 1, start, -1)))
    return distinct(np.concatenate([inside, [row for row in ends if row is not None]])).astype(np.int64)


def _first_finite(values: np.ndarray, rows: range) -> int | None:
    """Return the first of the rows with a finite value, if it is among the first few: else a block's extreme is near enough."""
    return next((row for row in rows[:BLOCK] if np.isfinite(values[row])), None)


def lost_stretches(series: Series, start: int, stop: int) -> np.ndarray:
    """Return the first and the last row of every stretch of values that are no numbers: int64[n, 2], within `start` to `stop`."""
    known = kept(series, "lost", lambda: stretches(~np.isfinite(series.values)))
    inside = known[(known[:, 1] >= start) & (known[:, 0] < stop)]
    return inside.clip(start, stop - 1)


def blocks(series: Series, start: int, stop: int, logarithms: bool) -> Blocks:
    """Return the means of the values, or of their `logarithms`, from `start` to `stop`: of blocks where these are many."""
    if stop - start <= MOST_RAW:
        values = _scaled(series.values[start:stop], logarithms)
        return Blocks(np.arange(start, stop), series.steps[start:stop], values, np.ones(stop - start))
    known = kept(series, f"means {logarithms}", partial(_means, series, logarithms))
    part = slice(np.searchsorted(known.rows, start), np.searchsorted(known.rows, stop))
    return Blocks(known.rows[part], known.steps[part], known.means[part], known.counts[part])


def _means(series: Series, logarithms: bool) -> Blocks:
    values = _scaled(series.values, logarithms)
    good = np.isfinite(values)
    gaps = stretches(~good)
    starts = np.arange(0, len(values), BLOCK)
    if len(gaps) <= MOST_PARTS:  # a block of its own for each gap, so that no mean reaches across it
        starts = distinct(np.concatenate([starts, gaps[:, 0], gaps[:, 1] + 1]))
        starts = starts[starts < len(values)]
    counts = np.add.reduceat(good.astype(float), starts)
    sums = np.add.reduceat(np.where(good, values, 0.0), starts)
    means = np.divide(sums, counts, out=np.full(len(starts), np.nan), where=counts > 0)
    rows = (starts + np.append(starts[1:], len(values)) - 1) // 2
    return Blocks(rows, series.steps[rows], means, counts)


def _scaled(values: np.ndarray, logarithms: bool) -> np.ndarray:
    """Return the values or their logarithms, NaN for all that is no number."""
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = np.log(values) if logarithms else values
    return np.where(np.isfinite(scaled), scaled, np.nan)
