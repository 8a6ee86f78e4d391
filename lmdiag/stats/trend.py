"""Does a curve rise or fall? Rank trend (Mann-Kendall) and robust slope (Theil-Sen)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from lmdiag.stats.noise import MAD_TO_SIGMA, scatter
from lmdiag.stats.windows import block_medians, median

MOST_POINTS = 600  # longer curves are judged by block medians: O(n^2) pairs, and correlated neighbours


@lru_cache(maxsize=8)
def _pairs(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of the first and the second of all pairs of n points."""
    first, second = np.triu_indices(n, 1)
    return first, second


@lru_cache(maxsize=8)
def _earlier(n: int) -> np.ndarray:
    """Return which of n points come before which: bool[n, n]."""
    return np.tri(n, n, -1, bool)


def mann_kendall(values: np.ndarray) -> float:
    """Return the z score of the rank trend: positive when the values rise, 0 for fewer than 4 points or a constant.

    Tie-corrected normal approximation (Mann 1945, Kendall 1975).

    >>> round(mann_kendall(np.arange(10.0)), 1), mann_kendall(np.ones(10))
    (3.9, 0.0)
    """
    if len(values) > MOST_POINTS:
        values, _ = block_medians(values, MOST_POINTS)
    n = len(values)
    if n < 4:
        return 0.0
    below = np.searchsorted(np.sort(values), values).astype(np.int16)  # how many values are lower than each
    rises = np.count_nonzero((below < below[:, None]) & _earlier(n))
    ties = np.bincount(below)  # how often each value occurs
    score = 2.0 * rises - (n * (n - 1) - np.sum(ties * (ties - 1))) / 2  # rises less falls
    variance = (n * (n - 1) * (2 * n + 5) - np.sum(ties * (ties - 1) * (2 * ties + 5))) / 18
    return float((score - np.sign(score)) / np.sqrt(variance)) if variance > 0 else 0.0


def theil_sen(values: np.ndarray, at: np.ndarray | None = None) -> tuple[float, float]:
    """Return the median slope of all pairs of points, and its standard error.

    `at` are the positions (default 0, 1, 2, …). The error is that of a least-squares slope with the robust scatter of the residuals.

    >>> theil_sen(np.array([0.0, 2.0, 4.0, 90.0, 8.0]))[0]
    2.0
    """
    at = np.arange(len(values), dtype=float) if at is None else at.astype(float)
    if len(values) > MOST_POINTS:
        values, starts = block_medians(values, MOST_POINTS)
        at = at[starts]
    first, second = _pairs(len(values))
    apart = at[second] - at[first]
    good = apart != 0
    if not good.any():
        return 0.0, 0.0
    slope = float(median((values[second] - values[first])[good] / apart[good]))
    residuals = values - slope * at
    sigma = MAD_TO_SIGMA * float(median(np.abs(residuals - median(residuals))))
    spread = float(np.sqrt(np.sum((at - at.mean()) ** 2)))
    return slope, sigma / spread if spread else 0.0


def largest_gain(values: np.ndarray, errors: float, phi: float = 0.0) -> float:
    """Return the gain that a stretch does not exceed, by so many standard errors: the bound of an equivalence test.

    A rise is not counted against it, for luck must not stand in for precision; and the error is not less than that of a least-squares slope
    with the scatter of the points, smoothed by `phi`, because ten group medians may lie on a line by chance.

    >>> round(largest_gain(np.linspace(9.0, 8.0, 100), 2.0), 2), largest_gain(np.linspace(8.0, 9.0, 100), 2.0)
    (1.01, 0.0)
    """
    gain, error = total_gain(values, skip=0.0)
    least = scatter(values) * float(np.sqrt(12 / max(len(values), 1) * (1 + phi) / (1 - phi)))
    return max(gain, 0.0) + errors * max(error, least)


def total_gain(values: np.ndarray, groups: int = 10, skip: float = 0.1) -> tuple[float, float]:
    """Return how far the curve falls from end to end by Theil-Sen on group medians, and the standard error.

    The first tenth (`skip`), which holds warm-up and the steep start, is left out.

    >>> gain, _ = total_gain(np.linspace(9.0, 8.0, 100), skip=0.0)
    >>> round(gain, 6)
    1.010101
    """
    levels, _ = block_medians(values[int(skip * len(values)) :], groups)
    slope, error = theil_sen(levels)
    return -slope * len(levels), error * len(levels)
