"""Fewer points for the screen: the extremes of a curve, and of a long one the extremes and the mean of each block.

The blocks of a series are computed once and kept while the series lives: a view of a million points then costs as much
as one of thirty thousand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar
from weakref import WeakKeyDictionary

import numpy as np

from lmdiag.run import Series
from lmdiag.stats.extremes import extreme_rows
from lmdiag.stats.windows import distinct

BUCKETS = 350  # two points of each are drawn: about one for each column of the screen
BLOCK = 64  # points, of which the two extremes stand for all
MOST_RAW = 2 * BLOCK * BUCKETS  # a view of fewer points looks at every one of them
MOST_PARTS = 50  # beyond that many gaps the blocks run on across them

Result = TypeVar("Result")
_KEPT: WeakKeyDictionary[object, dict[str, object]] = WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class Blocks:
    """The means of blocks of values: the last row and step of each, its mean (NaN without a value), and its count."""

    rows: np.ndarray
    steps: np.ndarray
    means: np.ndarray
    counts: np.ndarray


def extremes(values: np.ndarray, keep: np.ndarray | None = None, buckets: int = BUCKETS) -> np.ndarray:
    """Return the indices of the lowest and highest value of each bucket, of both ends, and of `keep`, ascending.

    `values` is float64[n]; values that are not finite are never chosen unless `keep` names them. With at most
    2 × `buckets` values all finite ones are returned.

    >>> extremes(np.array([0, 9, 1, 2, 1, 2, -5, 2.0]), buckets=2).tolist()
    [0, 1, 5, 6, 7]
    """
    finite = np.flatnonzero(np.isfinite(values))
    chosen = finite[extreme_rows(values[finite], buckets)]
    return chosen if keep is None else distinct(np.concatenate([chosen, keep])).astype(np.int64)


def stretches(chosen: np.ndarray) -> np.ndarray:
    """Return the first and last index of each unbroken stretch of true values: int64[n, 2].

    >>> stretches(np.array([True, True, False, False, True, False])).tolist()
    [[0, 1], [4, 4]]
    """
    where = np.flatnonzero(chosen)
    cut = np.flatnonzero(np.diff(where) > 1)
    ends = np.concatenate([cut, [len(where) - 1]]) if len(where) else cut
    starts = np.concatenate([[0], cut + 1]) if len(where) else cut
    return np.column_stack([where[starts], where[ends]]).astype(np.int64).reshape(-1, 2)


def joined(found: np.ndarray, most: int = 200) -> list[tuple[int, int, int]]:
    """Return stretches as (first index, last index, how many), at most `most` of them.

    Where there are more, those with the smallest gaps between them are joined; the counts stay exact.

    >>> joined(np.array([[0, 0], [2, 2], [5, 6]]), most=2)
    [(0, 2, 2), (5, 6, 2)]
    """
    if not len(found):
        return []
    gaps = found[1:, 0] - found[:-1, 1]
    cut = np.arange(len(gaps))
    if len(found) > most:
        cut = np.sort(np.argsort(gaps, kind="stable")[len(gaps) - most + 1 :])
    starts, ends = np.concatenate([[0], cut + 1]), np.concatenate([cut, [len(found) - 1]])
    counts = np.add.reduceat(found[:, 1] - found[:, 0] + 1, starts)
    return [(int(found[a, 0]), int(found[b, 1]), int(n)) for a, b, n in zip(starts, ends, counts)]


def kept(owner: object, name: str, make: Callable[[], Result]) -> Result:
    """Return what `make` returns; it is called once per owner and name, and the result kept while the owner lives."""
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
    """Return the rows in a range to draw from: all finite ones, or of many both ends and the extremes of each block."""
    if stop - start <= MOST_RAW:
        return start + np.flatnonzero(np.isfinite(series.values[start:stop]))
    known = kept(series, "extremes", lambda: extremes(series.values, buckets=-(-len(series) // BLOCK)))
    inside = known[np.searchsorted(known, start) : np.searchsorted(known, stop)]
    ends = (_first_finite(series.values, range(start, stop)), _first_finite(series.values, range(stop - 1, start, -1)))
    return distinct(np.concatenate([inside, [row for row in ends if row is not None]])).astype(np.int64)


def _first_finite(values: np.ndarray, rows: range) -> int | None:
    """Return the first row with a finite value, None if it is not near: then the extreme of a block is near enough."""
    return next((row for row in rows[:BLOCK] if np.isfinite(values[row])), None)


def lost_stretches(series: Series, start: int, stop: int) -> np.ndarray:
    """Return the first and last row of every stretch of values in a range that are not finite: int64[n, 2]."""
    known = kept(series, "lost", lambda: stretches(~np.isfinite(series.values)))
    inside = known[(known[:, 1] >= start) & (known[:, 0] < stop)]
    return inside.clip(start, stop - 1)


def blocks(series: Series, start: int, stop: int, logarithms: bool, cuts: Sequence[int] = ()) -> Blocks:
    """Return the values in a range, or their `logarithms`; where they are many, the means of blocks of them.

    No block reaches across one of the steps `cuts`; each stands at its last row, so that it shows nothing before it is there.
    """
    if stop - start <= MOST_RAW:
        values = _scaled(series.values[start:stop], logarithms)
        return Blocks(np.arange(start, stop), series.steps[start:stop], values, np.ones(stop - start))
    known = kept(series, f"means {logarithms} {tuple(cuts)}", partial(_means, series, logarithms, cuts))
    part = slice(np.searchsorted(known.rows, start), np.searchsorted(known.rows, stop))
    return Blocks(known.rows[part], known.steps[part], known.means[part], known.counts[part])


def _means(series: Series, logarithms: bool, cuts: Sequence[int]) -> Blocks:
    values = _scaled(series.values, logarithms)
    good = np.isfinite(values)
    gaps = stretches(~good)
    starts = distinct(
        np.concatenate([np.arange(0, len(values), BLOCK), np.searchsorted(series.steps, np.asarray(cuts, np.int64))])
    )
    starts = starts[starts < len(values)]
    if len(gaps) <= MOST_PARTS:  # a block of its own for each gap, so that no mean reaches across it
        starts = distinct(np.concatenate([starts, gaps[:, 0], gaps[:, 1] + 1]))
        starts = starts[starts < len(values)]
    counts = np.add.reduceat(good.astype(float), starts)
    sums = np.add.reduceat(np.where(good, values, 0.0), starts)
    means = np.divide(sums, counts, out=np.full(len(starts), np.nan), where=counts > 0)
    rows = np.append(starts[1:], len(values)) - 1
    return Blocks(rows, series.steps[rows], means, counts)


def _scaled(values: np.ndarray, logarithms: bool) -> np.ndarray:
    """Return the values or their logarithms, NaN where not finite."""
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = np.log(values) if logarithms else values
    return np.where(np.isfinite(scaled), scaled, np.nan)
