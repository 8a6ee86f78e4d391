"""Has a sequence turned upwards? The best fit that only falls, against the best that falls and then rises."""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from lmdiag.stats.noise import MAD_TO_SIGMA
from lmdiag.stats.windows import median

SETTLED_FROM = 12  # points from which no single one may decide
OUTLIER = 3.0  # deviations at which a second difference is cut off
ROBUST_FROM = 6  # second differences whose median says what is usual
# Points of a rise, and mean squares left around it that its gain per point is worth: wander with a correlation of neighbours of 0.9 never gets
# there, with one of 0.97 once in 150 sequences of 40 to 200 points.
RISES_FROM, SMOOTH = 20, 150.0


# Of a few points that jumped and stayed up: how many before and after, and their distance in standard errors that independent noise of any size
# reaches in one of 10,000 sequences of 7 to 12 points, and correlated noise (0.8, of 15%) in 8.
LEAST_BEFORE, LEAST_AFTER, JUMPED = 3, 4, 7.0
# Rises in a row, and largest second differences that the whole is worth: independent noise that reaches a tenth of the level does that in one of 10,000
# sequences of 6 to 12 points, correlated noise (0.8, of 10%) in 9.
IN_A_ROW, STRAIGHT = 4, 8.0
# A fit takes part of what lasts for noise of its own: by so much the correlation of what it leaves is too low, in noise and, by twice that, beside a rise
TAKEN, MOST_KEPT = 0.15, 0.9


class Turn(Struct, frozen=True):
    """Where a sequence turns: `at` is the first point of its rise, `low` its level there; by `gain` the fit that turns misses
    the points less, in squares, than the one that only falls."""

    at: int
    low: float
    gain: float


def turn(values: np.ndarray) -> Turn:
    """Return the turn of a sequence of at least three points, most at one of them; the gain is 0 where it only falls.

    Both are isotonic regressions (Barlow et al. 1972): no shape is assumed, and the first alone is the hypothesis that nothing is wrong. Of
    twelve or more points one that lies below both its neighbours counts as the nearer of them, one above both as well but for the last two, and the last
    as no more than the two before it.

    >>> found = turn(np.array([3.0, 2.0, 1.0, 2.0, 3.0]))
    >>> found.at, found.low, found.gain
    (2, 1.0, 2.0)
    >>> turn(np.array([3.0, 2.0, 1.0])).gain
    0.0
    """
    settled = values.astype(float)
    if len(values) >= SETTLED_FROM:
        settled[1:-1] = np.maximum(values[1:-1], np.minimum(values[:-2], values[2:]))
        settled[1:-2] = np.minimum(settled[1:-2], np.maximum(values[:-3], values[2:-1]))
        settled[-1] = min(values[-1], values[-3:-1].max())
    middle = float(settled.mean())
    errors, levels = _falling(settled - middle)
    behind, levels_behind = (part[::-1] for part in _falling((settled - middle)[::-1]))
    at = int(np.argmin(errors + behind))
    low = middle + min(float(levels[at]), float(levels_behind[at]))
    return Turn(at, low, max(float(errors[-1] - errors[at] - behind[at]), 0.0))


def lasting_noise(values: np.ndarray, found: Turn) -> float:
    """Return how many times as much noise counts in levels of a sequence as its second differences show, by what the fit that turns leaves.

    Second differences miss what lasts, and what lasts does not average out: where a point keeps a share r of the noise of the one before it
    (first-order autoregression), they show sqrt((1 - r) (3 - r) / 3) of its deviation, and levels have sqrt((1 + r) / (1 - r)) times it.

    >>> noise = np.random.default_rng(0).normal(0, 1, 100)
    >>> slow = np.convolve(noise, np.ones(5) / 5, "valid")
    >>> lasting_noise(noise, turn(noise)) < 1.5, lasting_noise(slow, turn(slow)) > 3
    (True, True)
    """
    before, after = values[: found.at], values[found.at :]
    left = np.concatenate([before - falling_fit(before), after - falling_fit(after[::-1])[::-1]])
    power = float(left @ left)
    kept = float(left[1:] @ left[:-1]) / power + TAKEN if power > 0 else 0.0
    kept = min(max(kept, 0.0), MOST_KEPT)
    return float(np.sqrt(3 * (1 + kept) / ((1 - kept) ** 2 * (3 - kept))))


def rises_smoothly(values: np.ndarray, found: Turn) -> bool:
    """Tell whether a sequence rises since its turn so steadily that no wander does: the points lie close to a fit that only rises.

    >>> made = np.r_[3.0, 2.0, 1.0, 2 - np.exp(-np.arange(30) / 10)]
    >>> rises_smoothly(made, turn(made))
    True
    """
    rise = values[found.at :]
    if len(rise) < RISES_FROM:
        return False
    left = rise - falling_fit(rise[::-1])[::-1]
    return found.gain >= SMOOTH * float(left @ left)


def jumped_and_stayed(values: np.ndarray, expected: float) -> tuple[float, float] | None:
    """Return the level before the lowest of a few points jumped up for good, and the deviation of one point; None where they did not.

    The points behind the lowest all stand above it and those just before it. What they scatter by is taken on either side of the jump, which is no noise,
    and is the `expected` deviation at the least.

    >>> jumped_and_stayed(np.array([7.0, 4.9, 4.8, 4.7, 6.1, 6.3, 6.0, 6.2]), 0.03)[0]
    4.8
    """
    at = int(np.argmin(values))
    after = values[at + 1 :]
    if len(after) < LEAST_AFTER:
        return None
    higher = np.flatnonzero(values[:at] >= after.min())
    before = values[int(higher[-1]) + 1 if len(higher) else 0 : at + 1]
    if len(before) < LEAST_BEFORE:
        return None
    squares = before.var() * len(before) + after.var() * len(after)
    sigma = max(float(np.sqrt(squares / (len(before) + len(after) - 2))), expected)
    error = sigma * float(np.sqrt(1 / len(before) + 1 / len(after)))
    low = float(before.mean())
    return (low, sigma) if float(after.mean()) - low >= JUMPED * error else None


def rises_straight(values: np.ndarray) -> float | None:
    """Return the deviation of one point where a few rise to the last one since their lowest, without a break and so evenly that no noise does; None elsewhere.

    >>> round(rises_straight(np.array([5.0, 3.0, 2.0, 2.1, 2.2, 2.31, 2.4])), 4)
    0.0053
    """
    rise = values[int(np.argmin(values)) :]
    bends = np.diff(rise, 2)
    if len(rise) <= IN_A_ROW or not (np.diff(rise) > 0).all() or rise[-1] - rise[0] < STRAIGHT * np.abs(bends).max():
        return None
    return float(np.sqrt(np.mean(bends**2) / 6))


def falling_fit(values: np.ndarray) -> np.ndarray:
    """Return the best fit to a sequence that never rises, whatever its shape: float64[n]; swings around it are no part of a fall.

    >>> falling_fit(np.array([4.0, 1.0, 3.0, 0.0])).tolist()
    [4.0, 2.0, 2.0, 0.0]
    """
    totals: list[float] = []
    counts: list[int] = []
    for total in values.tolist():  # as `_add`, at half the time
        count = 1
        while totals and totals[-1] * count < total * counts[-1]:
            total += totals.pop()
            count += counts.pop()
        totals.append(total)
        counts.append(count)
    return np.repeat(np.array(totals) / counts, counts)


def _add(blocks: list[tuple[float, int]], value: float) -> float:
    """Add a value to blocks of points that share a level, none above the one before it; return by how much their squares grow."""
    total, count, grown = value, 1, 0.0
    while blocks and blocks[-1][0] * count < total * blocks[-1][1]:
        before, held = blocks.pop()
        grown -= before * before / held
        total, count = total + before, count + held
    blocks.append((total, count))
    return grown + total * total / count


def _falling(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for each beginning of a sequence what the best fit that never rises misses, in squares, and its last level."""
    errors, levels = np.zeros(len(values) + 1), np.full(len(values) + 1, np.inf)
    blocks: list[tuple[float, int]] = []  # sum and count of the points that share a level
    squares = fitted = 0.0
    for i, value in enumerate(values.tolist(), 1):
        squares += value * value
        fitted += _add(blocks, value)
        errors[i], levels[i] = squares - fitted, blocks[-1][0] / blocks[-1][1]
    return errors, levels


def variance_of_few(values: np.ndarray, expected: float, weight: float, averaged: bool) -> float:
    """Return the variance of one point of a short sequence: between what it shows and the `expected` standard deviation.

    Second differences show it, half of them independent; what is expected counts as `weight` of these. The two are `averaged`, or their
    logarithms are, which trusts the points more.

    >>> round(variance_of_few(np.array([1.0, 1.5, 2.0]), 0.1, 2.0, averaged=True), 4)
    0.008
    """
    squares = np.diff(values, 2) ** 2 / 6
    if len(squares) >= ROBUST_FROM:
        squares = np.minimum(squares, OUTLIER**2 * (MAD_TO_SIGMA**2) * median(squares))
    shown = 0.5 * len(squares)
    if averaged or not len(squares):
        return float((0.5 * squares.sum() + weight * expected**2) / (shown + weight))
    logs = shown * np.log(max(float(squares.mean()), 1e-300)) + weight * np.log(expected**2)
    return float(np.exp(logs / (shown + weight)))
