"""Fewer points for the screen, with every extreme kept."""

from __future__ import annotations

import numpy as np

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
    return np.unique(chosen if keep is None else np.concatenate([chosen, keep])).astype(np.int64)


def stretches(chosen: np.ndarray, most: int = 200) -> list[tuple[int, int, int]]:
    """Return the runs of neighbouring true values as (first index, last index, how many), at most `most` of them.

    Where there are more, the stretches with the smallest gaps between them are joined; the counts stay exact.

    >>> stretches(np.array([True, True, False, False, True, False]))
    [(0, 1, 2), (4, 4, 1)]
    >>> stretches(np.array([True, False, True, False, False, True]), most=2)
    [(0, 2, 2), (5, 5, 1)]
    """
    where = np.flatnonzero(chosen)
    if not len(where):
        return []
    gaps = np.diff(where)
    cut = np.flatnonzero(gaps > 1)
    if len(cut) >= most:
        cut = np.sort(cut[np.argsort(gaps[cut], kind="stable")[len(cut) - most + 1 :]])
    starts, ends = np.concatenate([[0], cut + 1]), np.concatenate([cut, [len(where) - 1]])
    return [(int(where[a]), int(where[b]), int(b - a + 1)) for a, b in zip(starts, ends)]
