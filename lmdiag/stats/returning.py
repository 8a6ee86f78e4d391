"""Whether the loss is back: at its beginning where a counter starts again, or at its level behind a record that stands out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lmdiag.stats.limits import LEARNS
from lmdiag.stats.noise import median_difference_error, scatter, smoothing
from lmdiag.stats.trend import mann_kendall
from lmdiag.stats.windows import block_medians, distinct, median, quantile

AROUND = 3  # records on each side of a restart by which the levels are compared
CLEAR = 5.0  # standard deviations of the noise that chance does not make in a thousand restarts
TENTHS = 10
BESIDE, ERRORS = 5, 4.0  # records before and after a row, and standard errors between their medians
SPIKE_SIGMAS, SPIKE_SHARE = 6.0, 0.06
RISES = {6: 0, 7: 1}  # pairs of so few records that do not fall: chance leaves no more in one order of 720
JUMPS_ABOUT = 4.0  # times, for a quarter of the changes: lognormal noise of 70% stays below
# Values in the last half of a curve, and falls by half of its jumps, in logarithms
FEWEST_JUMPS, BACK, HALF_WAY = 6, 2, 0.5
ALIKE = 0.3  # standard deviations: two values of different batches differ by one, as a median
ROUNDED = 0.001  # of the noise
NOISE = 1000  # records before a restart whose scatter is the noise there: all before each would be quadratic


def loss_returns(
    values: np.ndarray, starts: Sequence[int] | np.ndarray, clear: float = CLEAR, of_epochs: bool = False
) -> list[bool]:
    """Tell for each restart whether the loss is back where the log began, or above, as when another run begins.

    It is back if it had left its beginning by `clear` deviations of the noise; with 0 it may be there by chance. A few
    epochs have no noise that could be told: their loss is back if it is nearer to its beginning than to its end, too.

    >>> loss_returns(np.array([9.0, 6, 4, 8.8, 6, 4]), [3]), loss_returns(np.array([9.0, 6, 4, 4, 3, 2]), [3])
    ([True], [False])
    >>> loss_returns(np.array([3.0, 2.5, 2.9, 2.4]), [2]), loss_returns(np.array([3.0, 2.5, 2.9, 2.4]), [2], of_epochs=True)
    ([False], [True])
    """
    finite = values[np.isfinite(values)]
    if not len(finite):
        return [False] * len(starts)
    first = finite[0]
    returned = []
    for at in np.concatenate([[0], np.cumsum(np.isfinite(values))])[np.asarray(starts, np.int64)].tolist():
        if at == len(finite):
            returned.append(False)
            continue
        recent = finite[max(at - AROUND, 0) : at] if at else finite[:1]
        before_it = median(recent)
        if of_epochs and at and abs(finite[at] - first) < abs(finite[at] - finite[at - 1]):
            returned.append(True)
            continue
        near = abs(finite[at] - first) < 0.25 * abs(first - before_it)
        above = finite[at] > first > before_it
        left = float(np.max(np.abs(first - recent))) if near else first - before_it
        least = clear if near else CLEAR
        returned.append(
            bool(near or above) and bool(left > (least and least * scatter(finite[max(at - NOISE, 0) : at])))
        )
    return returned


def stands(values: np.ndarray, rows: np.ndarray, recovered: int = 0) -> bool:
    """Tell whether a curve is finite throughout, has no spike at some rows, and is no higher behind each than before it.

    Where it has `recovered` records to come back, a spike within them does not count.

    Medians of five records on each side are compared, by their logarithms where all are above 0: noise is a share of the level. A spike
    is six deviations high, and 6%.

    >>> flat = np.ones(20)
    >>> stands(np.r_[flat, 2, flat], np.array([20]))
    False
    >>> stands(flat, np.array([10])), stands(np.r_[flat, flat + 1], np.array([10, 20]))
    (True, False)
    """
    if not np.isfinite(values).all():
        return False
    levels = np.log(values) if (values > 0).all() else values
    sigma = scatter(levels)
    high = max(SPIKE_SIGMAS * sigma, SPIKE_SHARE)
    least = ERRORS * median_difference_error(sigma, smoothing(levels), BESIDE, BESIDE)
    for row in rows.tolist():
        begin = row + recovered
        before, after = levels[max(0, row - BESIDE) : row], levels[begin : begin + BESIDE]
        if not len(before) or not len(after):
            continue
        level = float(median(before))
        spike = not recovered and float(after[:2].max()) - level > high
        if spike or float(median(after)) - level > least:
            return False
    return True


def ends_at_best(values: np.ndarray) -> bool:
    """Tell whether a curve is finite, has fallen, and stands at its end as low as ever: medians of tenths of it, and four standard errors.

    >>> ends_at_best(np.linspace(9, 2, 50)), ends_at_best(np.r_[np.linspace(9, 2, 40), np.full(10, 2.5)])
    (True, False)
    """
    if len(values) < BESIDE or not np.isfinite(values).all():
        return False
    levels, _ = block_medians(values, TENTHS)
    width = max(1, len(values) // TENTHS)
    error = ERRORS * median_difference_error(scatter(values), smoothing(values), width, width)
    return bool(levels[-1] <= levels.min() + error and levels[-1] < levels[0] - error)


def begins_again(values: np.ndarray, fewest: int, share: float) -> int | None:
    """Return after how many records the same values come again to the end, None where they do not.

    They must be `fewest` or more, as many of them different, and a share of the log.

    >>> begins_again(np.array([9.0, 8, 7, 6, 9, 8, 7]), 3, 0.3)
    4
    """
    for lag in (np.flatnonzero(values[fewest:] == values[0]) + fewest).tolist():
        again = values[lag:]
        if len(again) < max(fewest, share * len(values)):
            return None
        if np.array_equal(again, values[:-lag]) and len(distinct(again)) >= fewest:
            return int(lag)
    return None


def goes_round(values: np.ndarray, fewest: int, share: float) -> tuple[int, int, float] | None:
    """Return from which row to the end the values are those of a round before, how many a round has, and by how much they differ at most.

    That is a thousandth of their noise: sums in another order differ by as much. They must begin in the first two rounds (the batches of a run
    that learns ever more slowly resemble each other in the end), and be a share of the log, one round and `fewest` more, as many of them different.

    >>> goes_round(np.array([9.5, 8, 7, 9, 8, 7, 9, 8, 7, 9, 8, 7]), 3, 0.3), goes_round(np.arange(9.0), 3, 0.3)
    ((4, 3, 0.0), None)
    """
    n, most = len(values), ROUNDED * scatter(values)
    for lag in (n - 1 - np.flatnonzero(np.abs(values[:-1] - values[-1]) <= most)[::-1]).tolist():
        apart = np.abs(values[lag:] - values[:-lag])
        other = np.flatnonzero(apart > most)
        row = lag + (int(other[-1]) + 1 if len(other) else 0)
        if row <= 2 * lag and n - row >= max(lag + fewest, share * n) and len(distinct(values[row:])) >= fewest:
            return row, lag, float(apart[row - lag :].max())
    return None


def copied_stretch(values: np.ndarray, least: int) -> tuple[int, int, int] | None:
    """Return where a stretch of values comes again for the first time, where it stood first, and how many values it has; None where none does.

    It has `least` values or more, three in four of them different, does not overlap what it repeats, and comes at once: values that are alike after
    the same number of records before it, too, are those of batches that come in the same order.

    >>> noise = np.random.default_rng(0).normal(0, 1, 90)
    >>> copied_stretch(np.r_[noise, noise[30:60], noise + 0.5], 20), copied_stretch(noise, 20)
    ((90, 30, 30), None)
    """
    n = len(values)
    if n < 2 * least or np.count_nonzero(np.diff(np.sort(values)) == 0) < least:
        return None
    ids = np.unique(values, return_inverse=True)[1].astype(np.uint64)
    windows = np.lib.stride_tricks.sliding_window_view(ids, least)
    keys = windows @ np.random.default_rng(0).integers(1, 2**63, least, np.uint64)
    order = np.argsort(keys, kind="stable")
    firsts = order[np.searchsorted(keys[order], keys)]
    for row in np.flatnonzero(np.arange(len(keys)) - firsts >= least).tolist():
        first = int(firsts[row])
        if 4 * len(distinct(windows[row])) < 3 * least or not np.array_equal(windows[row], windows[first]):
            continue
        before = min(first, least)
        apart = np.abs(values[row - before : row] - values[first - before : first])
        if before and float(median(apart)) < ALIKE * scatter(values):
            return None
        same = values[row:] == values[first : first + n - row]
        return row, first, n - row if same.all() else int(np.argmin(same))
    return None


def jumps(values: np.ndarray) -> float:
    """Return by what factor a quarter of the changes between neighbours, or more, go up or down, in the last half of a curve; 0 where it does not
    come back from two such jumps half the way, has fewer than six values there, or one that is not above 0.

    >>> round(jumps(np.tile([0.7, 0.6, 0.7, 7.0], 8))), jumps(2.0 ** np.arange(32))
    (10, 0.0)
    """
    late = values[len(values) // 2 :]
    if len(late) < FEWEST_JUMPS or late.min() <= 0:
        return 0.0
    changes = np.diff(np.log(late))
    usual = float(quantile(np.abs(changes), 0.75))
    return float(np.exp(usual)) if usual > 0 and int((changes <= -HALF_WAY * usual).sum()) >= BACK else 0.0


def started_anew(again: np.ndarray) -> bool:
    """Tell whether losses that come again fall: then the weights change, and a run was started again with the same seed.

    >>> started_anew(np.linspace(9.0, 5.0, 12)), started_anew(np.array([9.0, 7, 8, 6, 9, 7, 8, 6]))
    (True, False)
    """
    rises = sum(int((again[row + 1 :] >= value).sum()) for row, value in enumerate(again[: max(RISES)]))
    return mann_kendall(again) <= LEARNS or rises <= RISES.get(len(again), -1)
