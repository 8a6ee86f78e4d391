"""Points that stand far above both what came before and what came after."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lmdiag.stats.noise import MAD_TO_SIGMA
from lmdiag.stats.windows import block_medians, centred_median, medians_beside

WINDOWS = (4, 15, 50)
NEIGHBOURS, NEAREST = 60, 5  # the scale comes from 60 points either side, without the 5 nearest
SCALE_FLOOR = 0.005  # in log units: half a percent
MAD_ERROR = 1.17  # relative standard error of a MAD-based sigma is 1.17 / sqrt(n)
WIDE_BUMP_POINTS, WIDE_BUMP_BLOCKS = 900, 300


@dataclass(frozen=True)
class Spike:
    """A group of neighbouring outliers: indices of its first point, its peak and its last point.

    `excess` is the logarithm of peak over level; `deviations` the excess in robust standard deviations.
    """

    first: int
    peak: int
    last: int
    excess: float
    deviations: float


def find_spikes(values: np.ndarray, *, smallest: float, deviations: float) -> list[Spike]:
    """Return the spikes of a positive curve, in order.

    The excess of a point is measured over the *larger* of the medians before and after it, in log units: on a steep descent
    the side before is higher, at a change of level the side after is, so that neither can pass for a spike.
    """
    logs = np.log(np.maximum(values, 1e-12))
    hits = [
        hit
        for k in WINDOWS
        if k == WINDOWS[0] or len(logs) >= 3 * k
        for hit in _outliers(logs, k, smallest, deviations)
    ]
    if len(logs) >= WIDE_BUMP_POINTS:
        hits += _wide_bumps(logs, smallest, deviations)
    return _merge(hits, max(2, len(logs) // 100))


def _outliers(logs: np.ndarray, window: int, smallest: float, deviations: float) -> list[Spike]:
    before, after = medians_beside(logs, window)
    excess = logs - np.maximum(before, after)  # NaN at the first and last point: they cannot be judged
    candidates = np.flatnonzero(excess >= smallest)
    if not len(candidates):
        return []
    residuals = np.abs(logs - centred_median(logs, 2 * window + 1))
    rough = SCALE_FLOOR + MAD_TO_SIGMA * float(np.median(residuals))
    if len(candidates) > 2000:  # a noisy log: look closely only at what clearly stands out of all of it
        candidates = candidates[excess[candidates] >= 0.5 * deviations * rough]
    found = []
    for i in candidates.tolist():
        near = np.concatenate(
            [residuals[max(0, i - NEIGHBOURS) : max(0, i - NEAREST)], residuals[i + NEAREST + 1 : i + NEIGHBOURS + 1]]
        )
        near = near if len(near) >= 3 else np.delete(residuals, i)
        scale = max(MAD_TO_SIGMA * float(np.median(near)), SCALE_FLOOR)
        if excess[i] / scale >= deviations * (1 + MAD_ERROR / np.sqrt(len(near))):
            found.append(Spike(i, i, i, float(excess[i]), float(excess[i] / scale)))
    return found


def _wide_bumps(logs: np.ndarray, smallest: float, deviations: float) -> list[Spike]:
    levels, starts = block_medians(logs, WIDE_BUMP_BLOCKS)
    ends = np.append(starts[1:], len(logs))
    bumps = [bump for k in WINDOWS for bump in _outliers(levels, k, smallest, deviations)]
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
