"""How far the points of a curve scatter, when slope, outliers and smoothing must not be taken for scatter."""

from __future__ import annotations

import numpy as np

from lmdiag.stats.windows import block_medians, centred_median, median, quantile, remembered, rolling_median

MAD_TO_SIGMA = 1.4826  # of a normal distribution
MEDIAN_ERROR = 1.253  # standard error of a median over that of a mean, normal distribution
DETREND_WINDOW = 15
LONGEST = 100_000  # records that tell how a log was averaged, to 0.006; more cost time and tell nothing
LEAST_FOR_SMOOTHING = 60  # fewer records cannot show that a log was smoothed: the standard error of phi is 2 / sqrt(n)
WANDER_BLOCKS, WANDER_WINDOWS, WANDER_RECORDS = 8, 20, 10
DRIFT_POINTS, DRIFT_LAG = 40, 8  # of fewer the correlation is not known well enough
HALVES = 20  # points of half a curve that tell whether its noise has grown
UNCERTAIN = 11.0  # points: what the scatter of n of them is enlarged by, over n; simulated for three deviations, right within 10% from 10 on


@remembered
def scatter(values: np.ndarray) -> float:
    """Return the standard deviation of one point around the curve, from first and second differences.

    The smaller of the two estimates: on white noise they agree; on a smooth curve the first difference is the slope.

    >>> round(scatter(np.random.default_rng(0).normal(0, 0.1, 2000) + np.linspace(9, 2, 2000)), 2)
    0.1
    """
    if len(values) < 3:
        return 0.0
    first = MAD_TO_SIGMA * float(median(np.abs(np.diff(values)))) / np.sqrt(2)
    second = MAD_TO_SIGMA * float(median(np.abs(np.diff(values, 2)))) / np.sqrt(6)
    return float(min(first, second))


def sure_scatter(values: np.ndarray) -> float:
    """Return the scatter to test a rise at the end of a curve with: that of its second half if it is larger, enlarged as few points demand.

    The scatter of few points is itself uncertain, and where it is too small by chance everything looks significant (Student 1908): three of
    these are as rare as three known standard deviations.

    >>> noise = np.random.default_rng(0).normal(0, 1, 20)
    >>> round(sure_scatter(noise) / scatter(noise), 2)
    1.55
    """
    sigma, half = scatter(values), values[len(values) // 2 :]
    if len(half) >= HALVES:
        sigma = max(sigma, scatter(half))
    return sigma * (1 + UNCERTAIN / max(len(values), 1))


def expected_largest(values: np.ndarray, n: int) -> float:
    """Return how large the largest of n values of the same kind is to be expected, from the upper tail of some of them.

    Beyond its 90% quantile the tail is taken for exponential: rather too long for normal values, right for many norms and losses.

    >>> noise = np.random.default_rng(0).normal(0, 1, 1000)
    >>> round(expected_largest(noise, 1000), 1), round(expected_largest(noise, 100_000), 1)
    (3.2, 5.2)
    """
    ninety, high = quantile(values, 0.9), quantile(values, 0.975)
    return high + (high - ninety) / float(np.log(4)) * float(np.log(max(0.025 * n, 1.0)))


@remembered
def smoothing(values: np.ndarray) -> float:
    """Return how strongly the log was averaged before it was written: 0 for white noise, towards 1 for a slow EMA.

    phi = 1 + 2 rho1 of the differences, less their local median (the slope) and clipped at four deviations: neither a
    steep descent nor one large rise may look like smoothing. One standard error, 2/sqrt(n), is taken off.

    >>> noise = np.random.default_rng(0).normal(0, 1, 3000)
    >>> smoothing(noise) < 0.15, smoothing(np.convolve(noise, np.ones(10) / 10, "valid")) > 0.5
    (True, True)
    """
    changes = np.diff(values[len(values) // 10 :][-LONGEST:])  # the steep start is left out
    if len(changes) < LEAST_FOR_SMOOTHING:
        return 0.0
    half = DETREND_WINDOW // 2
    steps = changes[half : len(changes) - half] - rolling_median(changes, DETREND_WINDOW)
    limit = 4 * MAD_TO_SIGMA * median(np.abs(steps))
    steps = np.clip(steps, -limit, limit)
    power = float(steps @ steps)
    if power == 0:
        return 0.0
    phi = 1 + 2 * float(steps[1:] @ steps[:-1]) / power
    return float(np.clip(phi - 2 / np.sqrt(len(steps)), 0.0, 0.95))


def wander(values: np.ndarray, width: int) -> float:
    """Return the standard error that slow changes of level (data order, mixture) add to the difference of two windows.

    Measured on medians of blocks as long as the window, in the stretch before a suspected rise; 0 where there are fewer than eight.
    """
    if width < 1 or len(values) < WANDER_BLOCKS * width:
        return 0.0
    count = len(values) // width
    levels, _ = block_medians(values[: count * width], count)
    first = MAD_TO_SIGMA * float(median(np.abs(np.diff(levels)))) / np.sqrt(2)
    second = MAD_TO_SIGMA * float(median(np.abs(np.diff(levels, 2)))) / np.sqrt(6)
    return float(np.sqrt(2)) * min(first, second)


@remembered
def wander_throughout(values: np.ndarray) -> float:
    """Return the standard error of the difference of two windows of a twentieth of a curve, times the root of their width; 0 of fewer than 200 points.

    From all neighbouring windows, a suspected rise included: it touches few of them, and the part before it may be too short to show what lasts. What
    does averages out over wider windows as the root of their width.

    >>> white = np.random.default_rng(0).normal(0, 1, 1000)
    >>> 1.5 < wander_throughout(white) < 2.2, wander_throughout(np.convolve(white, np.ones(20) / 4.5, "valid")) > 5
    (True, True)
    """
    width = len(values) // WANDER_WINDOWS
    if width < WANDER_RECORDS:
        return 0.0
    levels = rolling_median(values, width | 1)
    steps = levels[width:] - levels[:-width]
    sides = 0.5 * (levels[: -2 * width] + levels[2 * width :])
    bends = levels[width:-width] - sides  # a slope that changes is no wander
    straight = float(median(np.abs(steps - median(steps))))
    bent = float(median(np.abs(bends))) * float(np.sqrt(4 / 3))
    return MAD_TO_SIGMA * min(straight, bent) * float(np.sqrt(width))


def drift(values: np.ndarray) -> float:
    """Return the standard deviation that levels of so many points have, times the root of their number; 0 with fewer than 40 points.

    That of one point where the points are independent. Evaluations of one model every few steps wander: with a correlation rho of neighbours it
    is larger by sqrt((1 + rho) / (1 - rho)) (first-order autoregression). rho comes from pairs one apart and eight apart, less their common
    slope.

    >>> white = np.random.default_rng(0).normal(0, 1, 400)
    >>> 0.9 < drift(white) < 1.6, drift(np.convolve(white, np.ones(4) / 2, "valid")) > 3
    (True, True)
    """
    if len(values) < DRIFT_POINTS:
        return 0.0
    near, far = _apart(values, 1), _apart(values, DRIFT_LAG)
    if far <= near or near == 0:
        return far
    independent = (near / far) ** 2  # 1 - rho
    return far * float(np.sqrt((2 - independent) / independent))


def _apart(values: np.ndarray, lag: int) -> float:
    changes = values[lag:] - values[:-lag]
    return MAD_TO_SIGMA * float(median(np.abs(changes - median(changes)))) / float(np.sqrt(2))


def median_difference_error(sigma: float, phi: float, width: int, other_width: int) -> float:
    """Return the standard error of the difference of two window medians, given scatter and smoothing of the curve.

    Smoothed noise of a standard deviation s scatters from record to record by s sqrt(1 - phi) only, and does not average out over fewer
    records than it was averaged over (first-order autoregression).
    """
    averaged_out = MEDIAN_ERROR * np.sqrt((1 + phi) / (1 - phi) / np.array([width, other_width]))
    return float(sigma / np.sqrt(1 - phi) * np.sqrt(np.sum(np.minimum(averaged_out, 1.0) ** 2)))


def lasting_scatter(values: np.ndarray) -> float:
    """Return the standard deviation of some values around their trend over a fifth of them: unlike in `scatter`, noise that lasts counts.

    >>> noise = np.random.default_rng(0).normal(0, 1, 2000)
    >>> slow = np.convolve(noise, np.ones(20) / 20, "valid")
    >>> round(lasting_scatter(slow) / scatter(slow))
    5
    """
    around = values - centred_median(values, len(values) // 5 | 1)
    return MAD_TO_SIGMA * float(median(np.abs(around))) if len(values) else 0.0
