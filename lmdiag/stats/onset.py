"""Where does a rise begin? At the jump of a sudden one, where a slow one leaves the level before it."""

from __future__ import annotations

import numpy as np

from lmdiag.stats.noise import scatter
from lmdiag.stats.windows import median

SHARE = 0.3  # of the rise, on either side of which a record counts as before it or behind it
FAR = 3.0  # a rise to more than so many times its level begins where one to this would
CLEAR = 10.0  # unless noise is larger than the level: deviations of a record that a rise is at least taken to


def onset_of(values: np.ndarray, low_at: int, low: float, high: float) -> int:
    """Return the first record behind `low_at` that belongs to the rise of a curve from `low` to `high`.

    The records are split where most lie below 30% of the rise before and above it behind (two levels, each record counted at most
    twice that far); before the split the level is flat until it climbs in a line, or jumps, where that fits best.

    >>> onset_of(np.r_[np.ones(50), np.full(50, 4.0)], 10, 1.0, 4.0), onset_of(np.r_[np.ones(50), np.linspace(1, 4, 50)], 10, 1.0, 4.0)
    (50, 51)
    """
    later = values[low_at + 1 :]
    if not len(later):
        return len(values) - 1
    split = _split(later, low, high)
    if split > 1:
        before = later[:split]
        level = max(low, float(median(before)))
        near = max(FAR * level, level + CLEAR * scatter(before)) if level > 0 else high
        low, high = level, min(high, near)
        split = _split(later, low, high)
    return low_at + _hinge(np.minimum(values[low_at : low_at + split + 2], high))


def _split(values: np.ndarray, low: float, high: float) -> int:
    """Return the record from which they lie above a share of the way from low to high, as most of those before it lie below."""
    way = SHARE * (high - low)
    apart = np.cumsum(np.clip(values - low, 0, 2 * way) - way)
    return min(int(np.argmin(np.r_[0.0, apart])), len(values) - 1)


def _hinge(values: np.ndarray) -> int:
    """Return the first record of a climb in a line to the last one, behind a level, where these two fit best."""
    n = len(values)
    if n < 3:
        return n - 1
    around = values - values.mean()
    m = np.arange(n - 1, 0, -1.0)  # records that climb
    total, squares = m * (m + 1) / 2, m * (m + 1) * (2 * m + 1) / 6
    along = np.cumsum(np.cumsum(around[::-1]))[::-1][1:]  # sum of (i - at + 1) times each record from `at` on
    gain = np.maximum(along, 0) ** 2 / (squares - total**2 / n)
    return 1 + int(np.argmax(gain))
