"""When did the level of a sequence change? One-sided CUSUM for slow drift, binary segmentation for steps."""

from __future__ import annotations

import math

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from lmdiag.stats.noise import MAD_TO_SIGMA, MEDIAN_ERROR, median_difference_error, scatter, smoothing
from lmdiag.stats.windows import median, rolling_median

SLACK, ALARM = 0.5, 12.0  # in standard deviations; a false alarm in about a million steps (Siegmund 1985)
FEWEST_IN_STRETCH = 8
SHARPNESS, SHARP_ERRORS = 0.6, 5.0  # share of the step, and standard errors, between the few values before and after it
FLANK = 0.25  # of the shorter stretch: over so many values a ramp of its length shows a quarter of itself


class Shift(Struct, frozen=True):
    """A step between two stretches: index of the first point after it, both levels, the step in standard errors, and how long the shorter one is where only such steps count."""

    at: int
    before: float
    after: float
    errors: float
    shorter: int = 0

    @property
    def size(self) -> float:
        return self.after - self.before


def cusum(standardised: np.ndarray, slack: float = SLACK, alarm: float = ALARM) -> int | None:
    """Return where values that should have mean 0 and standard deviation 1 first begin to drift up, or None.

    S_i = max(0, S_{i-1} + x_i - slack) (Page 1954), computed as a cumulative sum less its running minimum.

    >>> noise = np.random.default_rng(0).normal(0, 1, 300)
    >>> cusum(noise), cusum(np.r_[noise, noise + 1.5])
    (None, 299)
    """
    walk = np.concatenate([[0.0], np.cumsum(standardised - slack)])
    above = walk - np.minimum.accumulate(walk)
    if len(standardised) == 0 or above.max() < alarm:
        return None
    first = int(np.argmax(above >= alarm))
    return int(np.flatnonzero(above[:first] == 0)[-1])


def jump_at(values: np.ndarray, at: int, width: int = 0) -> float:
    """Return by how much the few values behind a row are higher than those before it, 0 at the very ends; `width` says how many.

    The value beside the row on either side is left out: a step may lie one row off.

    >>> jump_at(np.r_[np.zeros(50), np.ones(50)], 50), jump_at(np.zeros(9), 1)
    (1.0, 0.0)
    """
    width = width or _beside(values)
    before, after = values[max(0, at - width - 1) : max(0, at - 1)], values[at + 1 : at + 1 + width]
    return float(median(after) - median(before)) if min(len(before), len(after)) >= 3 else 0.0


def jump_of(values: np.ndarray, shift: Shift) -> float:
    """Return what of a step happens at once, by as many values beside it as its noise asks for, up to a quarter of the shorter stretch."""
    return jump_at(values, shift.at, _needed(values, shift))


def _needed(values: np.ndarray, shift: Shift) -> int:
    width, most = _beside(values), int(FLANK * shift.shorter)
    if most <= width:
        return width
    error = SHARP_ERRORS * median_difference_error(scatter(values), smoothing(values), width, width)
    needed = width * (error / max(SHARPNESS * abs(shift.size), 1e-12)) ** 2
    return max(width, min(math.ceil(min(needed, len(values))), most))


def is_sharp(values: np.ndarray, shift: Shift) -> bool:
    """Tell whether most of a step happens at once, beyond what the few values beside any row differ by: a smooth misfit does not.

    >>> step = Shift(50, 0.0, 1.0, 99.0)
    >>> is_sharp(np.r_[np.zeros(50), np.ones(50)], step), is_sharp(np.linspace(0, 1, 100), step)
    (True, False)
    """
    width = _needed(values, shift)
    jump = jump_at(values, shift.at, width) * float(np.sign(shift.size))
    if jump < SHARPNESS * abs(shift.size):
        return False
    error = median_difference_error(scatter(values), smoothing(values), width, width)
    return jump >= SHARP_ERRORS * max(error, _usual_jump(values, width))


def step_beside_slope(values: np.ndarray, at: int) -> tuple[float, float]:
    """Return by how much values are higher from a row on, beside a slope of them all, and its standard error in deviations of one value.

    >>> rise, error = step_beside_slope(np.r_[4.0, 3.0, 2.0, 6.0, 5.0, 4.0], 3)
    >>> round(rise, 6), round(error, 2)
    (5.0, 1.71)
    """
    rows = np.arange(len(values))
    terms = np.stack([np.ones(len(values)), rows, rows >= at], axis=1)
    inverse = np.linalg.pinv(terms)
    return float(inverse[2] @ values), float(np.sqrt(inverse[2] @ inverse[2]))


def _usual_jump(values: np.ndarray, width: int) -> float:
    """Return the standard deviation of the jumps at all rows: noise that lasts makes larger ones than independent noise of its scatter."""
    levels = rolling_median(values, width)
    jumps = levels[width + 1 :] - levels[: -width - 1]
    return MAD_TO_SIGMA * float(median(np.abs(jumps - median(jumps)))) if len(jumps) else 0.0


def sharp_steps(values: np.ndarray, least_errors: float, widely: bool = False) -> list[Shift]:
    """Return the steps of at least so many standard errors most of which happens at once, in order.

    Where a step is known to lead back later, as many values beside it may be asked as its noise needs: `widely`.

    >>> [s.at for s in sharp_steps(np.r_[np.zeros(50), np.ones(50)], 6.0)]
    [50]
    """
    found = [s for s in level_shifts(values) if s.errors >= least_errors]
    if not widely:
        return [s for s in found if is_sharp(values, s)]
    edges = [0, *(s.at for s in found), len(values)]
    shorter = [min(at - first, stop - at) for first, at, stop in zip(edges, edges[1:], edges[2:])]
    between = [replace(s, shorter=length) for s, length in zip(found, shorter)]
    return [s for s in between if is_sharp(values, s)]


def _beside(values: np.ndarray) -> int:
    return max(6, len(values) // 50)


def level_shifts(values: np.ndarray, penalty: float = 3.0, largest_number: int = 8) -> list[Shift]:
    """Return the steps in the level of a sequence of at most a thousand values, in order, by binary segmentation.

    A stretch is split where that lowers the sum of squares most, if by more than `penalty` * sigma^2 * ln n (Scott & Knott
    1974). sigma is the larger of the robust scatter and that of pairs eight points apart, so that slow wander is not a step.

    >>> [s.at for s in level_shifts(np.r_[np.zeros(50), np.ones(50)] + np.random.default_rng(0).normal(0, 0.2, 100))]
    [50]
    """
    n = len(values)
    if n < 2 * FEWEST_IN_STRETCH:
        return []
    sigma = max(scatter(values), _slow_scatter(values), 1e-12)
    edges, splits = [0, n], {(0, n): _best_split(values, 0, n)}
    for _ in range(largest_number):
        (gain, at), (first, stop) = max((split, stretch) for stretch, split in splits.items())
        if gain <= penalty * sigma**2 * np.log(n):
            break
        edges = sorted({*edges, at})
        del splits[first, stop]
        splits |= {(a, b): _best_split(values, a, b) for a, b in ((first, at), (at, stop))}
    return [_shift(values, *stretch, sigma) for stretch in zip(edges, edges[1:], edges[2:])]


def _slow_scatter(values: np.ndarray) -> float:
    """Return the standard deviation of one point from pairs eight apart: it holds what wanders within a stretch."""
    apart = values[FEWEST_IN_STRETCH:] - values[:-FEWEST_IN_STRETCH]
    return MAD_TO_SIGMA * float(median(np.abs(apart))) / float(np.sqrt(2))


def _best_split(values: np.ndarray, first: int, stop: int) -> tuple[float, int]:
    """Return by how much the best split of a stretch lowers its sum of squares, and where that split is."""
    part = values[first:stop]
    n = len(part)
    if n < 2 * FEWEST_IN_STRETCH:
        return 0.0, first
    left = np.arange(FEWEST_IN_STRETCH, n - FEWEST_IN_STRETCH + 1)
    sums = np.cumsum(part)[FEWEST_IN_STRETCH - 1 : n - FEWEST_IN_STRETCH]
    gain = (sums - left * part.mean()) ** 2 * n / (left * (n - left))
    best = int(np.argmax(gain))
    return float(gain[best]), first + int(left[best])


def _shift(values: np.ndarray, first: int, at: int, stop: int, sigma: float) -> Shift:
    before, after = float(median(values[first:at])), float(median(values[at:stop]))
    error = MEDIAN_ERROR * sigma * float(np.sqrt(1 / (at - first) + 1 / (stop - at)))
    return Shift(at, before, after, abs(after - before) / error)
