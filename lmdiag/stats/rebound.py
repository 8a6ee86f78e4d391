"""Has a curve risen from its minimum and stayed up? Four tests, each for another kind of log."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lmdiag.stats.noise import median_difference_error, scatter, smoothing, wander
from lmdiag.stats.windows import block_medians, median, quantile, remembered, rolling_median

LONGEST = 1000  # longer curves are judged by block medians, which keep every sustained rise
SHARES = (20, 10, 5)  # tail windows of n/20, n/10 and n/5 points
REBOUND_POINTS = 12
# (nats, share of the level, standard errors): the larger the rise, the less certain it needs to be
LIMITS = ((0.1, 0.03, 4.0), (0.3, 0.15, 3.5), (0.5, 0.30, 3.0))
CHAOTIC_RISE, CHAOTIC_NATS, CHAOTIC_ERRORS = float(np.log(1.4)), 0.5, 4.0
ABOVE_START_NATS, ABOVE_START_SHARE = 0.3, 0.05
END_POINTS, END_NATS, END_SHARE, END_SIGMAS = 3, 0.15, 0.05, 8.0
SHORT_END_NATS, SHORT_END_SHARE, SHORT_END_SIGMAS = 0.3, 0.10, 5.0
SHORT_END_RATIO, SHORT_END_FAR = 2.5, 1.0  # beyond these no scatter is asked for: of ten records it is mostly slope
BEHIND_POINTS, BEHIND_SHARE, BEHIND_SIGMAS = 4, 0.05, 2.0


@dataclass(frozen=True)
class Rebound:
    """A sustained rise: from `low` at index `low_at` to `high` at the end; `errors` is the rise in standard errors."""

    low_at: int
    onset: int
    low: float
    high: float
    errors: float

    @property
    def rise(self) -> float:
        return self.high - self.low


@remembered
def sustained_rise(values: np.ndarray) -> Rebound | None:
    """Return the sustained rise of a curve of finite values, or None.

    Asks in this order: is the tail above the lowest window, on three scales; the same for log loss (chaotic runs whose
    noise grows with the level); does the last third lie above the start; do the last records stand above all before.
    """
    if len(values) > LONGEST:
        levels, starts = block_medians(values, LONGEST)
        found = sustained_rise(levels)  # which others may have asked of the thinned curve
        return found and Rebound(
            int(starts[found.low_at]), int(starts[found.onset]), found.low, found.high, found.errors
        )
    for test in (_rebound, _above_start, _unrecovered_end):
        found = test(values)
        if found:
            return Rebound(found.low_at, _onset(values, found), found.low, found.high, found.errors)
    return None


def left_behind(values: np.ndarray) -> bool:
    """Tell whether the lowest value stands clearly below every later one, of which there are four or more.

    By 5% and two deviations of the later ones: what is then the best evaluation was never reached again. For averages over many
    batches, such as evaluations; a single easy batch can do the same to a training loss.

    >>> left_behind(np.array([2.5, 3.6, 3.5, 3.4, 3.7, 3.5])), left_behind(np.array([2.5, 2.6, 2.52, 2.7, 2.55, 2.6]))
    (True, False)
    """
    low_at = int(np.argmin(values)) if len(values) else 0
    low, later = float(values[low_at]) if len(values) else 0.0, values[low_at + 1 :]
    if len(later) < BEHIND_POINTS:
        return False
    return bool(later.min() - low >= max(BEHIND_SHARE * abs(low), BEHIND_SIGMAS * scatter(later)))


def smallest_rise(values: np.ndarray) -> float:
    """Return the smallest sustained rise (nats) that would be seen in this curve: what "no divergence" can promise."""
    if len(values) < 3:
        return float("inf")
    width = max(3, len(values) // SHARES[1])
    error = median_difference_error(scatter(values), smoothing(values), width, width)
    return max(LIMITS[0][0], LIMITS[0][1] * float(np.min(values)), LIMITS[0][2] * error)


def _lowest(values: np.ndarray) -> list[tuple[int, int, float]]:
    """Return the width of each tail window, and the middle and the level of the lowest window before it, an odd one."""
    found = []
    for share in SHARES:
        width = max(3, len(values) // share)
        medians = rolling_median(values, width | 1)[: max(0, len(values) - width - (width | 1) + 1)]
        if len(medians):
            start = int(np.argmin(medians))
            found.append((width, start, float(medians[start])))
    return found


def _windows(values: np.ndarray, lowest: list[tuple[int, int, float]]) -> Iterator[Rebound]:
    """Yield the difference between the tail and the lowest window before it, for each window length."""
    sigma, phi = scatter(values), smoothing(values)
    for width, start, low in lowest:
        odd = width | 1
        high = float(median(values[-width:]))
        error = max(median_difference_error(sigma, phi, width, odd), wander(values[: start + odd], width), 1e-12)
        yield Rebound(start + odd // 2, 0, low, high, (high - low) / error)


def _rebound(values: np.ndarray) -> Rebound | None:
    """Return a rise in nats, or else in log loss: an odd window has its median at the same point in both."""
    if len(values) < REBOUND_POINTS:
        return None
    lowest = _lowest(values)
    for found in _windows(values, lowest):
        for nats, share, errors in LIMITS:
            if found.rise >= max(nats, share * abs(found.low)) and found.errors >= errors:
                return found
    return _chaotic_rebound(values, lowest) if values.min() > 0 else None


def _chaotic_rebound(values: np.ndarray, lowest: list[tuple[int, int, float]]) -> Rebound | None:
    for found in _windows(np.log(values), [(width, start, float(np.log(low))) for width, start, low in lowest]):
        low, high = float(np.exp(found.low)), float(np.exp(found.high))
        if found.rise >= CHAOTIC_RISE and found.errors >= CHAOTIC_ERRORS and high - low >= CHAOTIC_NATS:
            return Rebound(found.low_at, 0, low, high, found.errors)
    return None


def _above_start(values: np.ndarray) -> Rebound | None:
    n = len(values)
    if n < 6:
        return None
    start = max(float(values[0]), float(median(values[:3])))
    late = values[-max(2, n // 3) :]
    if quantile(late, 0.2) < start + max(ABOVE_START_NATS, ABOVE_START_SHARE * abs(start)):
        return None
    low_at = int(np.argmin(values[: n - len(late)]))
    high = float(median(late))
    return Rebound(low_at, 0, float(values[low_at]), high, (high - start) / max(scatter(values), 1e-12))


def _unrecovered_end(values: np.ndarray) -> Rebound | None:
    n, sigma = len(values), scatter(values)
    if n < 6:
        return None
    if n < REBOUND_POINTS:
        low_at = int(np.argmin(values[:-2]))
        low, end = float(values[low_at]), values[-2:]
        floor = max(SHORT_END_NATS, SHORT_END_SHARE * abs(low), SHORT_END_SIGMAS * sigma)
        far = (end >= SHORT_END_RATIO * low).all() and (end - low >= SHORT_END_FAR).all() and low > 0
        risen = far or (end - low >= floor).all()
        return Rebound(low_at, 0, low, float(end.min()), float(end.min() - low) / max(sigma, 1e-12)) if risen else None
    before, end = values[-END_POINTS - 15 : -END_POINTS], values[-END_POINTS:]
    level = float(median(before))
    floor = max(END_NATS, END_SHARE * abs(level), END_SIGMAS * sigma)
    highest = values[-END_POINTS - max(n // 10, 3) : -END_POINTS].max()
    if (end - level >= floor).all() and end.min() > highest:
        return Rebound(n - END_POINTS - 1, 0, level, float(end.min()), float(end.min() - level) / max(sigma, 1e-12))
    return None


def _onset(values: np.ndarray, found: Rebound) -> int:
    """Return where the rise begins: the first point after the minimum from which the curve stays 30% of the rise up.

    Not the minimum itself: after a slow descent that lies far too early. The share is taken of the logarithm, for a curve
    that rises to many times its minimum.
    """
    bar = found.low * (found.high / found.low) ** 0.3 if found.low > 0 else found.low + 0.3 * found.rise
    n = len(values)
    ahead = max(3, n // 20)
    for i in range(found.low_at + 1, n):
        if values[i] > bar and median(values[i : i + 3]) > bar and median(values[i : i + ahead]) > bar:
            return i
    return n - 1
