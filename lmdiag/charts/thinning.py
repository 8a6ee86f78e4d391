"""Fewer points for the screen, with every extreme kept."""

from __future__ import annotations

import numpy as np

from lmdiag.stats.windows import distinct

BUCKETS = 400  # two points of each are drawn: about one for each column of the screen


def extremes(values: np.ndarray, keep: np.ndarray | None = None, buckets: int = BUCKETS) -> np.ndarray:
    """Return the indices of the lowest and highest value of each bucket, of both ends, and of `keep`, ascending.

    `values` is float64[n]; values that are not finite are never chosen unless `keep` names them. With at most
    2 × `buckets` values all finite ones are returned.

    >>> extremes(np.array([0, 9, 1, 2, 1, 2, -5, 2.0]), buckets=2).tolist()
    [0, 1, 5, 6, 7]
    """
    finite = np.flatnonzero(np.isfinite(values))
    chosen = finite
    if len(finite) > 2 * buckets:
        size = -(-len(finite) // buckets)
        padded = np.full(size * buckets, np.nan)
        padded[: len(finite)] = values[finite]
        grid = padded.reshape(buckets, size)
        rows = np.flatnonzero(~np.isnan(grid[:, 0]))
        lowest = np.where(np.isnan(grid), np.inf, grid).argmin(axis=1)[rows] + rows * size
        highest = np.where(np.isnan(grid), -np.inf, grid).argmax(axis=1)[rows] + rows * size
        chosen = finite[np.concatenate([lowest, highest, [0, len(finite) - 1]])]
    return distinct(chosen if keep is None else np.concatenate([chosen, keep])).astype(np.int64)


def stretches(chosen: np.ndarray) -> np.ndarray:
    """Return the runs of neighbouring true values as first and last index: int64[n, 2].

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
