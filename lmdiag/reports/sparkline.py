"""A curve in one line of text: bars that rise with the logarithm of the value."""

from __future__ import annotations

import math

import numpy as np

from lmdiag.run import Series

BARS = "▁▂▃▄▅▆▇█"
NOT_FINITE = "×"
MISSING = 3.0  # times the usual distance of two values
HEADROOM = 1.35  # how far above the usual range a bar may reach before it is cut


def sparkline(series: Series, width: int, first_step: int, last_step: int) -> str:
    """Draw a series as `width` characters over the given range of steps.

    A bar is as high as the largest value in its range of steps, so that no spike is averaged away; `×` marks a range
    with a NaN or an infinity. The scale is logarithmic where all values are positive. A single enormous value is cut
    rather than flattening the rest. A range without a value repeats the one before it, unless values are missing there:
    three times as long without one as usual is left blank.

    >>> sparkline(Series(np.array([1, 2, 3, 4]), np.array([8.0, 4.0, 2.0, np.nan])), 4, 1, 4)
    '█▅▁×'
    >>> sparkline(Series(np.array([1, 2, 3, 4]), np.array([1.0, 2, 4, 8])), 8, 1, 8)
    '▁▃▆████ '
    """
    heights = _highest_per_column(series, width, first_step, last_step)
    finite = heights[np.isfinite(heights)]
    if finite.size and finite.min() > 0:
        heights = np.log(heights)
    low, high = _scale(heights[np.isfinite(heights)])
    return "".join(_bar(height, low, high) for height in heights)


def columns(steps: np.ndarray, width: int, first_step: int, last_step: int) -> np.ndarray:
    """Return the column, 0 to width - 1, in which each step is drawn."""
    share = (np.asarray(steps, float) - first_step) / max(last_step - first_step, 1)
    return np.clip(share * width, 0, width - 1).astype(int)


def _highest_per_column(series: Series, width: int, first_step: int, last_step: int) -> np.ndarray:
    """Return the largest value per column: +inf where one is not finite, NaN before the first value."""
    values = np.where(np.isfinite(series.values), series.values, np.inf)
    heights = np.full(width, -np.inf)
    np.maximum.at(heights, columns(series.steps, width, first_step, last_step), values)
    filled = np.maximum.accumulate(np.where(heights > -np.inf, np.arange(width), -1))
    missing = np.arange(width) - filled > _usual_gap(series.steps, width, first_step, last_step)
    return np.where((filled < 0) | missing, np.nan, heights[filled])


def _usual_gap(steps: np.ndarray, width: int, first_step: int, last_step: int) -> float:
    """Return over how many columns values of this series may be apart, beyond which some are missing."""
    if len(steps) < 3:
        return width
    apart = float(np.median(np.diff(steps))) * width / max(last_step - first_step, 1)
    return MISSING * max(apart, 1.0)


def _scale(finite: np.ndarray) -> tuple[float, float]:
    """Return the lowest and the highest value to draw: the top is cut where a few values tower above the rest."""
    if not finite.size:
        return 0.0, 0.0
    low = float(finite.min())
    usual = max(float(np.sort(finite)[math.ceil(0.9 * (len(finite) - 1))]), float(finite[0]))
    top = low + 2 * HEADROOM * (usual / 2 - low / 2)
    return low, min(float(finite.max()), top) if usual > low else float(finite.max())


def _bar(height: float, low: float, high: float) -> str:
    if np.isnan(height):
        return " "
    if np.isinf(height):
        return NOT_FINITE
    if high <= low:
        return BARS[len(BARS) // 2 - 1]
    share = (min(height, high) / 2 - low / 2) / (high / 2 - low / 2)  # halves: the range of all floats overflows
    return BARS[round(share * (len(BARS) - 1))]
