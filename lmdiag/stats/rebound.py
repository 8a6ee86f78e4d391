"""Has a curve risen from its minimum and stayed up? Several tests, each for another kind of log."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from lmdiag.stats.limits import LONGEST
from lmdiag.stats.noise import median_difference_error, scatter, smoothing, sure_scatter, wander_throughout
from lmdiag.stats.onset import onset_of
from lmdiag.stats.trend import mann_kendall
from lmdiag.stats.turning import variance_of_few
from lmdiag.stats.windows import block_medians, count_in_windows, median, quantile, remembered, rolling_median

SHARES = (20, 10, 5)  # tail windows of n/20, n/10 and n/5 points
REBOUND_POINTS = 12
# (nats, share of the level, standard errors): the larger the rise, the less certain it needs to be
LIMITS = ((0.1, 0.03, 4.0), (0.3, 0.15, 3.5), (0.5, 0.30, 3.0))
LEAST_RISE = LIMITS[0][0]
CHAOTIC_RISE, CHAOTIC_NATS, CHAOTIC_ERRORS = float(np.log(1.4)), 0.5, 4.0
ABOVE_START_NATS, ABOVE_START_SHARE = 0.3, 0.05
# By so many deviations of a record; of MANY late records, all but this share above the start say the same.
ABOVE_START_SIGMAS = 2.0
MANY, CHANCE_LOW = 50, 0.05
# Or from the first record on: so far below each later one, and below what these scatter around, in deviations; nats, for a model that has learned little
AT_ONCE_SHARE, AT_ONCE_SIGMAS, AT_ONCE_LEVEL = 1.5, 3.0, 4.0
COMPETES = 3.0  # standard errors above the lowest window within which another could have been the lowest
END_POINTS, END_NATS, END_SHARE, END_SIGMAS = 3, 0.15, 0.05, 8.0
SHORT_END_NATS, SHORT_END_SHARE, SHORT_END_SIGMAS = 0.3, 0.10, 5.0
SHORT_END_RATIO, SHORT_END_FAR = 2.5, 1.0  # beyond these no scatter is asked for: of ten records it is mostly slope
# Of five: how many times the first the last of all that rise is, or the last two or three the largest before; the same of four, and nats
FEW_FROM, FEW_RISE, FEW_APART, FEW_OF_FOUR, FEW_NATS = 4, 1.75, 1.6, 2.5, 0.5
CLIMBS = 0.9  # rank correlation with the record's number, by chance in one of 10,000 of 12 alike records
CLIMB_SHARE = 0.05  # of the level
# Records; how many rise in a row to the end; of what was gained before; standard deviations of a record, and how much of the level one is at least
LOST_FROM, LOST_UNTIL, IN_A_ROW, GIVEN_BACK, SHORT_SIGMAS, BENDS = 6, 20, 3, 0.6, 6.0, 0.005
# A gradient norm that grew for good: records on either side, the least of those after over the largest of those before, and that of their medians;
# and a loss that rises since its lowest record: Mann-Kendall z, share of the level, and records at the end that stay up
GROWN_RECORDS, APART, TENFOLD = 3, 2.0, 10.0
RISING, GROWN_SHARE, STAY = 2.0, 0.15, 3
BEHIND_POINTS, BEHIND_SHARE, BEHIND_SIGMAS = 4, 0.05, 2.0


class Rebound(Struct, frozen=True):
    """A sustained rise: from `low` at index `low_at` to `high` at the end; `errors` is the rise in standard errors.

    `low` is a median, or that of a `single` record; `high` a median, or the least of the `last` records.
    """

    low_at: int
    onset: int
    low: float
    high: float
    errors: float
    last: int = 0
    single: bool = False

    @property
    def rise(self) -> float:
        return self.high - self.low


@remembered
def sustained_rise(values: np.ndarray) -> Rebound | None:
    """Return the sustained rise of a curve of finite values, or None.

    Asks in this order: is the tail above the lowest window, on three scales; the same for log loss (chaotic runs whose
    noise grows with the level); does the last third lie above the start; does all lie far above the first record; do the last records stand above all before; is nearly every
    record above those before it; does a short curve give back, record by record, what it had gained; do a handful rise far.
    """
    if len(values) > LONGEST:
        levels, starts = block_medians(values, LONGEST)
        found = sustained_rise(levels)  # which others may have asked of the thinned curve
        return found and replace(
            found, low_at=int(starts[found.low_at]), onset=int(starts[found.onset]), last=0, single=False
        )
    for test in (_rebound, _above_start, _at_once, _unrecovered_end, _climb, _lost_again, _of_a_few):
        found = test(values)
        if found:
            return replace(found, onset=onset_of(values, found.low_at, found.low, found.high))
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


def left_behind_together(
    steps: np.ndarray, losses: np.ndarray, at: np.ndarray, evaluations: np.ndarray
) -> Rebound | None:
    """Return the rise of a training loss that never came back to its lowest, if its evaluations, taken `at` these steps, did not either.

    The training loss counts as its median since the evaluation before. One easy batch may leave a training loss behind, overfitting
    the evaluations: both at once, at the same place, are a model that got worse. Beside evaluations left behind a rise of the
    training loss needs not be more than the luck of the lowest window. An evaluation before the first record stands beside that one.

    >>> grid, fell = np.arange(6), np.array([5.0, 4.0, 4.6, 4.5, 4.4, 4.5])
    >>> left_behind_together(grid, fell, grid, fell + 0.1).onset
    2
    """
    ends = np.maximum(np.searchsorted(steps, at, side="right"), min(1, len(steps)))
    starts = np.r_[0, ends[:-1]]
    held = ends > starts
    if held.sum() <= BEHIND_POINTS:
        return None
    beside = evaluations[held]
    if not left_behind(beside):
        return None
    levels = np.array([float(median(losses[i:j])) for i, j in zip(starts[held], ends[held])])
    low_at = int(np.argmin(levels))
    if abs(low_at - int(np.argmin(beside))) > 1:
        return None
    if not left_behind(levels):
        found = next((found for found, *_ in _windows(losses, _lowest(losses), LEAST_RISE) if _exceeds(found)), None)
        return found and replace(found, onset=onset_of(losses, found.low_at, found.low, found.high))
    later, low = levels[low_at + 1 :], float(levels[low_at])
    # Of levels that few records tell
    apart = BEHIND_SIGMAS * scatter(losses) / float(np.sqrt(median((ends - starts)[held])))
    if len(losses) >= REBOUND_POINTS and later.min() - low < apart:
        return None
    high = float(median(later[-max(3, len(later) // 3) :]))
    index = np.flatnonzero(held)
    return Rebound(
        int(ends[index[low_at]]) - 1,
        int(starts[index[low_at + 1]]),
        low,
        high,
        (high - low) / max(scatter(later), 1e-12),
    )


def grown_from(norms: np.ndarray) -> int | None:
    """Return the record from which a few gradient norms, above 0, are all twice the largest before, and ten times as large in the median.

    >>> grown_from(np.array([0.4, 0.5, 0.8, 1.1, 9, 6, 12, 8, 5])), grown_from(np.array([0.4, 0.5, 0.8, 1.1, 9, 6, 12, 0.9, 5]))
    (4, None)
    """
    for at in range(GROWN_RECORDS, len(norms) - GROWN_RECORDS + 1):
        before, after = norms[:at], norms[at:]
        if after.min() >= APART * before.max() and median(after) >= TENFOLD * median(before):
            return at
    return None


def risen_since(values: np.ndarray, at: int) -> Rebound | None:
    """Return the rise of a few losses since the lowest of them that something else, at record `at`, says is no chance.

    >>> risen_since(np.array([1.6, 0.55, 0.61, 0.83, 0.74, 1.21, 0.77, 0.91, 1.02, 0.95, 1.08]), 4).onset
    4
    """
    low_at = int(np.argmin(values))
    low, later = float(values[low_at]), values[low_at:]
    if len(later) <= GROWN_RECORDS + STAY or mann_kendall(later) < RISING:
        return None
    high = float(median(later[-max(STAY, len(later) // 3) :]))
    rise = high - low
    if rise < max(LEAST_RISE, GROWN_SHARE * abs(low)) or later[-STAY:].min() < low + 0.5 * rise:
        return None
    return Rebound(low_at, max(at, low_at + 1), low, high, mann_kendall(later), single=True)


def _lowest(values: np.ndarray) -> list[tuple[int, int, np.ndarray]]:
    """Return the width of each tail window, the start of the lowest window before it, an odd one, and the levels of all of them.

    A tail that does not lie above any of them by the least rise is left out, which counting tells: at least half of a window is as low as its median.
    """
    found = []
    for share in SHARES:
        width = max(3, len(values) // share)
        before = values[:-width]
        low = before <= float(median(values[-width:])) - LEAST_RISE
        if not low.any() or not (count_in_windows(low, width | 1) > width // 2).any():
            continue
        medians = rolling_median(before, width | 1)
        found.append((width, int(np.argmin(medians)), medians))
    return found


def _windows(
    values: np.ndarray, lowest: list[tuple[int, int, np.ndarray]], least: float
) -> Iterator[tuple[Rebound, float, float]]:
    """Yield the rises of `least` or more of the tail above the lowest window before it, for each window length.

    Beside each stands how many of its errors are luck, for the lowest of m windows that do not overlap lies sqrt(2 ln m) errors of one of them too low
    by chance, and how many times the error without slow wander they are.
    """
    tails = [float(median(values[-width:])) for width, *_ in lowest]
    risen = [(*found, high) for found, high in zip(lowest, tails) if high - float(found[2][found[1]]) >= least]
    if not risen:  # as in most logs, whose noise needs not be measured then
        return
    sigma, phi, slow = sure_scatter(values), smoothing(values), wander_throughout(values)
    for width, start, medians, high in risen:
        odd, low = width | 1, float(medians[start])
        quick = max(median_difference_error(sigma, phi, width, odd), 1e-12)
        error = max(quick, slow / float(np.sqrt(width)))
        near = np.count_nonzero(medians <= low + COMPETES * error / np.sqrt(2)) / odd
        found = Rebound(start + odd // 2, 0, low, high, (high - low) / error)
        yield found, float(np.sqrt(np.log(max(near, 1.0)))), error / quick


def _rebound(values: np.ndarray) -> Rebound | None:
    """Return a rise in nats, or else in log loss: an odd window has its median at the same point in both."""
    if len(values) < REBOUND_POINTS:
        return None
    lowest = _lowest(values)
    windows = list(_windows(values, lowest, LEAST_RISE))
    if any(_exceeds(found, luck) for found, luck, _ in windows):  # no wander then; of the shortest window that shows it
        return next(found for found, _, slow in windows if _exceeds(replace(found, errors=slow * found.errors)))
    return _chaotic_rebound(values, lowest) if values.min() > 0 else None


def _exceeds(found: Rebound, luck: float = 0.0) -> bool:
    return any(
        found.rise >= max(nats, share * abs(found.low)) and found.errors - luck >= errors
        for nats, share, errors in LIMITS
    )


def _chaotic_rebound(values: np.ndarray, lowest: list[tuple[int, int, np.ndarray]]) -> Rebound | None:
    logs = [(width, start, np.log(medians)) for width, start, medians in lowest]
    for found, luck, _ in _windows(np.log(values), logs, CHAOTIC_RISE):
        low, high = float(np.exp(found.low)), float(np.exp(found.high))
        if found.errors - luck >= CHAOTIC_ERRORS and high - low >= CHAOTIC_NATS:
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
    spread = sure_scatter if len(late) < END_POINTS else scatter  # two records have no scatter of their own
    sigma = max(scatter(late), min(spread(values), spread(values[: max(5, n // 10)])))  # not of a blow-up in between
    by_chance = median(late) < start + ABOVE_START_SIGMAS * sigma and (
        len(late) < MANY or quantile(late, CHANCE_LOW) < start
    )
    if by_chance:
        return None
    low_at = int(np.argmin(values[: n - len(late)]))
    high = float(median(late))
    return Rebound(low_at, 0, float(values[low_at]), high, (high - start) / max(sigma, 1e-12), single=True)


def _at_once(values: np.ndarray) -> Rebound | None:
    """Return the rise of a curve that left the level of its first record before the second, and never came near it again.

    A first record alone may be low: one of few batches, or a sum divided by a hundred of them. Behind such a one the loss falls, or lies where models that have learned do.
    """
    later = values[1:]
    if (
        len(values) < REBOUND_POINTS
        or values[0] <= 0
        or later.min() < max(AT_ONCE_SHARE * values[0], values[0] + ABOVE_START_NATS)
        or median(later) < AT_ONCE_LEVEL
        or mann_kendall(later) <= -RISING
    ):
        return None
    logs = np.log(later)
    spread = (quantile(logs, 0.9) - quantile(logs, 0.1)) / 2.56
    errors = float(median(logs) - np.log(values[0])) / max(spread, 1e-12)
    high = float(median(later[-max(2, len(values) // 3) :]))
    return Rebound(0, 0, float(values[0]), high, errors, single=True) if errors >= AT_ONCE_SIGMAS else None


def _unrecovered_end(values: np.ndarray) -> Rebound | None:
    n = len(values)
    if n < LOST_FROM:
        return None
    if n < REBOUND_POINTS:
        low_at, sigma = int(np.argmin(values[:-2])), scatter(values)
        low, end = float(values[low_at]), values[-2:]
        floor = max(SHORT_END_NATS, SHORT_END_SHARE * abs(low), SHORT_END_SIGMAS * sigma)
        far = (end >= SHORT_END_RATIO * low).all() and (end - low >= SHORT_END_FAR).all() and low > 0
        far = far and not _came_back(values[low_at:-2], (low + float(end.min())) / 2)
        risen = far or (end - low >= floor).all()
        return (
            Rebound(low_at, 0, low, float(end.min()), float(end.min() - low) / max(sigma, 1e-12), 2, single=True)
            if risen
            else None
        )
    before, end = values[-END_POINTS - 15 : -END_POINTS], values[-END_POINTS:]
    if end.min() <= values[-END_POINTS - max(n // 10, 3) : -END_POINTS].max():
        return None
    level, sigma = float(median(before)), scatter(values)
    floor = max(END_NATS, END_SHARE * abs(level), END_SIGMAS * sigma)
    if (end - level >= floor).all():
        errors = float(end.min() - level) / max(sigma, 1e-12)
        return Rebound(n - END_POINTS - 1, 0, level, float(end.min()), errors, END_POINTS)
    return None


def _came_back(values: np.ndarray, bar: float) -> bool:
    """Tell whether values from the lowest on rose above a bar and fell below it again: then the last of them may, too."""
    above = values > bar
    return bool((~above[int(np.argmax(above)) :]).any()) if above.any() else False


def _climb(values: np.ndarray) -> Rebound | None:
    """Return the rise of a curve that climbs from its first records to its last, too slowly for a level of its own before it."""
    n = len(values)
    if n < REBOUND_POINTS:
        return None
    third, width = n // 3, max(3, n // 10) | 1
    start, high = float(median(values[:third])), float(median(values[-third:]))
    if high - start < max(LEAST_RISE, CLIMB_SHARE * abs(start)):
        return None
    ranks = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    if np.corrcoef(ranks, np.arange(n))[0, 1] < CLIMBS:
        return None
    levels = rolling_median(values[: n // 2], width)
    low_at = int(np.argmin(levels))
    return Rebound(low_at + width // 2, 0, float(levels[low_at]), high, mann_kendall(values))


def _lost_again(values: np.ndarray) -> Rebound | None:
    """Return the rise of a short curve that gives back what it had gained, record by record, far beyond the noise that its bends show."""
    n = len(values)
    if not LOST_FROM <= n < LOST_UNTIL or values.min() <= 0:
        return None
    low_at = int(np.argmin(values))
    low, after = float(values[low_at]), values[low_at:]
    rise, gained = float(values[-1]) - low, float(values[0]) - low
    if len(after) <= IN_A_ROW or low_at < 1 or rise < max(GIVEN_BACK * gained, CLIMB_SHARE * low):
        return None
    sigma = float(np.sqrt(variance_of_few(values, BENDS * low, 1.0, averaged=True)))
    falls = np.diff(after) <= 0
    if falls.any() or rise < SHORT_SIGMAS * sigma:
        return None
    return Rebound(low_at, 0, low, float(values[-2:].min()), rise / sigma, 2, single=True)


def _of_a_few(values: np.ndarray) -> Rebound | None:
    """Return the rise of four or five records that all rise far, or of which the last two or three lie far above all before."""
    n = len(values)
    if not FEW_FROM <= n < LOST_FROM or values.min() <= 0:
        return None
    times, apart = (FEW_RISE, FEW_APART) if n > FEW_FROM else (FEW_OF_FOUR, FEW_OF_FOUR)
    all_rise = bool((np.diff(values) > 0).all()) and values[-1] >= max(times * values[0], values[0] + FEW_NATS)
    for last in (3, 2):
        before, end = values[:-last], values[-last:]
        far = end.min() >= max(apart * before.max(), before.max() + 2 * FEW_NATS)
        if len(before) >= 2 and (far or (all_rise and last == 2)):
            low_at = int(np.argmin(before))
            return Rebound(low_at, 0, float(before[low_at]), float(end.min()), np.inf, last, single=True)
    return None
