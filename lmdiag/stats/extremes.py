"""The lowest and the highest of neighbouring values: what a curve cannot lose without looking different."""

from __future__ import annotations

import numpy as np

from lmdiag.stats.windows import distinct


def extreme_rows(values: np.ndarray, buckets: int) -> np.ndarray:
    """Return the rows of both ends and of the lowest and the highest value of each bucket, ascending: int64[m].

    `values` is float64[n] without NaN; the buckets are equal in size. With n up to 2 × `buckets`, all rows are returned.

    >>> extreme_rows(np.array([0, 9, 1, 2, 1, 2, -5, 2.0]), 2).tolist()
    [0, 1, 5, 6, 7]
    """
    n = len(values)
    if n <= 2 * buckets:
        return np.arange(n)
    size = -(-n // buckets)
    grid = np.pad(values, (0, -n % size), mode="edge").reshape(-1, size)  # the last bucket may be short
    begins = np.arange(len(grid)) * size
    return distinct(np.concatenate([[0, n - 1], begins + grid.argmin(axis=1), begins + grid.argmax(axis=1)]))
