"""A two-sided exponential mean with a half-life in steps: no lag behind the curve, and never across a gap."""

from __future__ import annotations

import numpy as np

MOST_PARTS = 50  # beyond that many gaps the mean runs on across them
BLOCK = 500.0  # half-lives; sums of weights up to 2**500 are far from overflow


def half_life_mean(
    steps: np.ndarray, values: np.ndarray, half_life: float, counts: np.ndarray | None = None
) -> np.ndarray:
    """Return at each step the mean of all values, weighted by half for every `half_life` steps of distance.

    Looking to both sides keeps the mean on a steep descent, where a mean of the past alone lags behind. Weights are
    normalised and unequal spacing of the steps is respected. Values that are not finite give NaN, and split the mean.
    With `counts` each value is the mean of so many.

    >>> half_life_mean(np.array([0, 1, 2]), np.array([4.0, 1.0, 1.0]), 1.0).round(2).tolist()
    [2.71, 1.75, 1.43]
    """
    smooth = np.full(len(values), np.nan)
    counts = np.ones(len(values)) if counts is None else counts
    finite = np.flatnonzero(np.isfinite(values))
    parts = np.split(finite, np.flatnonzero(np.diff(finite) > 1) + 1)
    for part in parts if len(parts) <= MOST_PARTS else [finite]:
        if len(part):
            smooth[part] = _two_sided(steps[part] / half_life, values[part], counts[part])
    return smooth


def _two_sided(age: np.ndarray, values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    sums = values * counts
    before, weight_before = _past(age, sums, counts)
    after, weight_after = _past(-age[::-1], sums[::-1], counts[::-1])
    # The point itself is in both sums.
    return (before + after[::-1] - sums) / (weight_before + weight_after[::-1] - counts)


def _past(age: np.ndarray, sums: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the weighted sums of the values so far, and of the weights.

    Within a block the recursion is a cumulative sum, so that a million steps take milliseconds.
    """
    totals, weights = np.empty(len(sums)), np.empty(len(sums))
    total = weight = 0.0
    start = 0
    while start < len(sums):
        stop = max(int(np.searchsorted(age, age[start] + BLOCK)), start + 1)
        growth = np.exp2(age[start:stop] - age[start])
        totals[start:stop] = (np.cumsum(sums[start:stop] * growth) + total) / growth
        weights[start:stop] = (np.cumsum(counts[start:stop] * growth) + weight) / growth
        if stop < len(sums):
            fade = np.exp2(age[stop - 1] - age[stop])
            total, weight = float(totals[stop - 1] * fade), float(weights[stop - 1] * fade)
        start = stop
    return totals, weights
