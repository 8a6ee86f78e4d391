"""How a measure of a policy moved: its levels at the start and at the end, its extremes, and what chance does to them."""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from lmdiag.stats.limits import SURE
from lmdiag.stats.noise import median_difference_error, scatter, smoothing
from lmdiag.stats.trend import mann_kendall
from lmdiag.stats.windows import block_medians, median, remembered, rolling_median

# A longer curve is judged by the medians of so many blocks: levels of a tenth and a fifth need no more
MOST_POINTS = 400
SIGMAS = 3.0  # standard errors from which a difference of two levels is no chance


class Course(Struct, frozen=True):
    """Levels of a curve, in its own unit, and the rank trend.

    `start` is the median of the first tenth (3 to 20 records), `end` that of the last fifth (3 or more), `high` and `low` are the extremes of the
    rolling medians of a tenth (3 or more), `high_at` and `low_at` where these are centred. `error` is the standard error of the difference of
    `start` and `end`, and of an extreme and `end`; `trend` is the Mann-Kendall z score.
    """

    start: float
    end: float
    high: float
    high_at: int
    low: float
    low_at: int
    error: float
    trend: float

    @property
    def gain(self) -> float:
        """How much higher the end is than the start."""
        return self.end - self.start

    @property
    def rises(self) -> bool:
        """Whether the curve rises, beyond chance."""
        return self.gain > SIGMAS * self.error or (self.trend > SURE and self.gain > self.error)

    @property
    def falls(self) -> bool:
        """Whether the curve falls, beyond chance."""
        return -self.gain > SIGMAS * self.error or (self.trend < -SURE and -self.gain > self.error)


@remembered
def course(values: np.ndarray) -> Course:
    """Return how a curve of at least five finite values moved.

    >>> moved = course(np.linspace(0.0, 1.0, 40))
    >>> moved.rises, moved.falls, round(moved.end, 2)
    (True, False, 0.91)
    """
    scale = 1
    if len(values) > MOST_POINTS:
        scale = len(values) // MOST_POINTS
        values, _ = block_medians(values, MOST_POINTS)
    n = len(values)
    first, last, width = min(max(3, n // 10), 20), max(3, n // 5), max(3, n // 10) | 1
    levels = rolling_median(values, width)
    sigma, phi = scatter(values), smoothing(values)
    high, low = int(np.argmax(levels)), int(np.argmin(levels))
    return Course(
        float(median(values[:first])),
        float(median(values[-last:])),
        float(levels[high]),
        (high + width // 2) * scale,
        float(levels[low]),
        (low + width // 2) * scale,
        median_difference_error(sigma, phi, first, last),
        mann_kendall(values),
    )


def first_lasting(reached: np.ndarray) -> int:
    """Return the first index from which nearly all (nine in ten) later points hold, the last index where none is.

    >>> first_lasting(np.array([False, True, False, True, True, True]))
    3
    """
    if not len(reached):
        return 0
    share = np.cumsum(reached[::-1])[::-1] / np.arange(len(reached), 0, -1)
    good = np.flatnonzero((share >= 0.9) & reached)
    return int(good[0]) if len(good) else len(reached) - 1
