"""An exponential mean of what came before, with a half-life in steps; never across a gap, nor across a step at which something began."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

MOST_PARTS = 50  # beyond that many gaps the mean runs on across them
BLOCK = 500.0  # half-lives; sums of weights up to 2**500 are far from overflow


def half_life_mean(
    steps: np.ndarray,
    values: np.ndarray,
    half_life: float,
    counts: np.ndarray | None = None,
    cuts: Sequence[int] = (),
) -> np.ndarray:
    """Return at each step the mean of all values up to it, weighted by half for every `half_life` steps of distance.

    It never shows anything before it is there: a mean of both sides rises before a spike. Weights are normalised and
    unequal spacing of the steps is respected. Values that are not finite give NaN, and split the mean, as the steps
    `cuts` do, at which it begins anew. With `counts` each value is the mean of so many.

    >>> half_life_mean(np.array([0, 1, 2]), np.array([4.0, 1.0, 1.0]), 1.0).round(2).tolist()
    [4.0, 2.0, 1.43]
    >>> half_life_mean(np.array([0, 1, 2]), np.array([4.0, 1.0, 1.0]), 1.0, cuts=[1]).tolist()
    [4.0, 1.0, 1.0]
    """
    smooth = np.full(len(values), np.nan)
    counts = np.ones(len(values)) if counts is None else counts
    finite = np.flatnonzero(np.isfinite(values))
    gaps = np.flatnonzero(np.diff(finite) > 1) + 1
    begins = np.searchsorted(steps[finite], np.asarray(cuts, np.int64))
    ends = np.union1d(gaps if len(gaps) < MOST_PARTS else gaps[:0], begins)
    for part in np.split(finite, ends.astype(np.int64)):
        if len(part):
            size = np.frexp(np.abs(values[part]).max())[1]  # sums of the largest numbers would overflow
            total, weight = _past(steps[part] / half_life, np.ldexp(values[part], -size) * counts[part], counts[part])
            smooth[part] = np.ldexp(total / weight, size)
    return smooth


def records_in_a_mean(steps: np.ndarray, half_life: float) -> float:
    """Return how many records such a mean is worth: its variance is that of one record divided by it.

    >>> round(records_in_a_mean(np.arange(100), 10.0), 1)
    28.9
    """
    apart = float(np.median(np.diff(steps))) if len(steps) > 1 else half_life
    fade = 2.0 ** (-apart / half_life)
    return (1 + fade) / (1 - fade)


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
