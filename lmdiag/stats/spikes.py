"""Points that stand far above both what came before and what came after."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from msgspec import Struct

from lmdiag.stats.noise import MAD_TO_SIGMA
from lmdiag.stats.windows import block_medians, centred_median, every_window, median, medians_beside, remembered

SMALLEST, DEVIATIONS = 0.06, 6.0  # what a spike is to the rules, unless the user says otherwise
WINDOWS = (4, 15, 50)
NEIGHBOURS, NEAREST = 60, 5  # the scale comes from 60 points either side, without the 5 nearest
SCALE_FLOOR = 0.005  # in log units: half a percent
MAD_ERROR = 1.17  # relative standard error of a MAD-based sigma is 1.17 / sqrt(n)
REGULAR, KEEPS_TIME = 0.10, 0.8  # share by which distances may differ, and of those that do not
LONG = 1_000
FARTHEST = 10  # records between outliers of one spike, however long the log
WIDE_BUMP_POINTS, WIDE_BUMP_BLOCKS = 900, 300


class Spike(Struct, frozen=True):
    """A group of neighbouring outliers: indices of its first point, its peak and its last point.

    `excess` is the logarithm of peak over level; `deviations` the excess in robust standard deviations.
    """

    first: int
    peak: int
    last: int
    excess: float
    deviations: float


@remembered
def find_spikes(values: np.ndarray, *, smallest: float, deviations: float) -> list[Spike]:
    """Return the spikes of a positive curve, in order.

    The excess of a point is measured over the *larger* of the medians before and after it, in log units: on a steep descent
    the side before is higher, at a change of level the side after is, so that neither can pass for a spike.
    """
    logs = np.log(np.maximum(values, 1e-12))
    possible = _above_both_sides(logs, standing_out(logs, smallest, deviations), smallest)
    windows = [k for k in WINDOWS if k == WINDOWS[0] or len(logs) >= 3 * k]
    hits = [hit for k in windows for hit in _outliers(logs, possible, k, smallest, deviations)]
    if len(logs) >= WIDE_BUMP_POINTS:
        hits += _wide_bumps(logs, smallest, deviations)
    return _merge(hits, min(max(2, len(logs) // 100), FARTHEST))


def regular_share(places: np.ndarray) -> tuple[float, float]:
    """Return the usual distance of places, and what share of the distances is one or two times that, within a tenth.

    >>> regular_share(np.array([3, 10, 17, 31, 40, 47]))
    (7.0, 0.8)
    """
    distances = np.diff(places)
    period = float(median(distances))
    multiples = np.clip(np.rint(distances / period), 1, 2)
    return period, float((np.abs(distances / (multiples * period) - 1) <= REGULAR).mean())


def standing_out(values: np.ndarray, least: float, deviations: float = 0.0) -> np.ndarray:
    """Return where a point could stand `least` above its surroundings, and `deviations` times their scatter: int64[k].

    None where the whole curve spans less; every point of a curve of up to 1,000; of a longer one those high above the lowest median
    of their block of 120 points and the two beside it, so that the exact comparison, which looks at each point's own neighbours, has few left to look at. The
    scatter is that of the changes, which vary at most twice as much as the points: four tenths of what is asked for leave room for
    the noise of the medians.
    """
    if not len(values) or values.max() < values.min() + least:
        return np.empty(0, int)
    if len(values) <= LONG:
        return np.arange(len(values))
    levels, starts = block_medians(values, len(values) // (2 * NEIGHBOURS))
    changes, _ = block_medians(np.abs(np.diff(values, prepend=values[0])), len(levels))
    beside = np.concatenate([levels[:1], levels, levels[-1:]])
    floor = np.minimum(np.minimum(beside[:-2], beside[1:-1]), beside[2:])
    bar = floor + np.maximum(least, 0.4 * deviations * MAD_TO_SIGMA * changes)
    return np.flatnonzero(values >= np.repeat(bar, np.diff(np.append(starts, len(values)))))


def _above_both_sides(values: np.ndarray, possible: np.ndarray, least: float) -> np.ndarray:
    """Return those of the possible points that lie `least` above the lowest value before and the lowest after them: int64[k]."""
    before, after = np.minimum.accumulate(values), np.minimum.accumulate(values[::-1])[::-1]
    return possible[values[possible] >= np.maximum(before, after)[possible] + least]


def _outliers(logs: np.ndarray, possible: np.ndarray, window: int, smallest: float, deviations: float) -> list[Spike]:
    if not len(possible):
        return []
    before, after = medians_beside(logs, window, possible)
    excesses = logs[possible] - np.maximum(before, after)  # NaN at the first and last point: they cannot be judged
    high = excesses >= smallest
    heights = dict(zip(possible[high].tolist(), excesses[high].tolist()))
    found = []
    for rows in _close(list(heights)):
        first, residuals = _residuals_around(logs, rows, window)
        for i in rows:
            excess, near = heights[i], _near(residuals, i - first)
            scale = max(MAD_TO_SIGMA * float(median(near)), SCALE_FLOOR) if len(near) else SCALE_FLOOR
            if excess / scale >= deviations * (1 + MAD_ERROR / np.sqrt(max(len(near), 1))):
                found.append(Spike(i, i, i, excess, excess / scale))
    return found


def _close(rows: list[int]) -> Iterator[list[int]]:
    """Yield groups of rows that have neighbours in common, none so long that its windows need much memory."""
    group = rows[:1]
    for row in rows[1:]:
        if row - group[-1] > 2 * NEIGHBOURS or row - group[0] > LONG:
            yield group
            group = []
        group.append(row)
    if group:
        yield group


def _residuals_around(logs: np.ndarray, rows: list[int], window: int) -> tuple[int, np.ndarray]:
    """Return from which row on, and how far, the points around some rows lie from the rolling median."""
    first, stop = max(0, rows[0] - NEIGHBOURS), min(len(logs), rows[-1] + NEIGHBOURS + 1)
    if first >= window and stop + window <= len(logs):
        trend = median(every_window(logs[first - window : stop + window], 2 * window + 1))
    else:
        wide = max(0, first - window)
        trend = centred_median(logs[wide : stop + window], 2 * window + 1)[first - wide : stop - wide]
    return first, np.abs(logs[first:stop] - trend)


def _near(residuals: np.ndarray, at: int) -> np.ndarray:
    """Return those of the neighbours of a point, without the nearest; of a very short log, of all other points."""
    before = residuals[max(0, at - NEIGHBOURS) : max(0, at - NEAREST)]
    near = np.concatenate([before, residuals[at + NEAREST + 1 : at + NEIGHBOURS + 1]])
    return near if len(near) >= 3 else np.delete(residuals, at)


def _wide_bumps(logs: np.ndarray, smallest: float, deviations: float) -> list[Spike]:
    levels, starts = block_medians(logs, WIDE_BUMP_BLOCKS)
    ends = np.append(starts[1:], len(logs))
    possible = _above_both_sides(levels, np.arange(len(levels)), smallest)
    bumps = [bump for k in WINDOWS for bump in _outliers(levels, possible, k, smallest, deviations)]
    return [
        Spike(
            int(starts[b.peak]),
            int(starts[b.peak] + np.argmax(logs[starts[b.peak] : ends[b.peak]])),
            int(ends[b.peak] - 1),
            b.excess,
            b.deviations,
        )
        for b in bumps
    ]


def _merge(hits: list[Spike], gap: int) -> list[Spike]:
    merged: list[Spike] = []
    for hit in sorted(hits, key=lambda s: s.first):
        if merged and hit.first <= merged[-1].last + gap:
            last = merged[-1]
            top = hit if hit.excess > last.excess else last
            merged[-1] = Spike(last.first, top.peak, max(last.last, hit.last), top.excess, top.deviations)
        else:
            merged.append(hit)
    return merged
