"""Levels of a measure of a policy as the rules of post-training document them, computed anew."""

from __future__ import annotations

import numpy as np

from lmdiag.run import Series

NEARLY_ALL = 0.9  # of the later records
MOST_POINTS = 400  # a longer series is judged by the medians of so many blocks


def opening(series: Series) -> float:
    """Return the median of the first tenth of the records, of 3 to 20; NaN where there are none."""
    values = series.thinned(MOST_POINTS).values
    return float(np.median(values[: min(max(3, len(values) // 10), 20)])) if len(values) else float("nan")


def closing(series: Series) -> float:
    """Return the median of the last fifth of the records, of 3 or more; NaN where there are none."""
    values = series.thinned(MOST_POINTS).values
    return float(np.median(values[-max(3, len(values) // 5) :])) if len(values) else float("nan")


def last_third(series: Series) -> np.ndarray:
    return series.values[-max(3, len(series) // 3) :]


def windows(series: Series, parts: int) -> Series:
    """Return the medians of all windows of one of so many parts of the records, three at least and an odd number, at the middle ones."""
    thin = series.thinned(MOST_POINTS)
    width = min(max(3, len(thin) // parts) | 1, len(thin))
    starts = range(len(thin) - width + 1)
    medians = np.array([np.median(thin.values[start : start + width]) for start in starts])
    return Series(thin.steps[width // 2 :][: len(medians)], medians)


def lasts_from(series: Series, reached: np.ndarray, latest: int | None = None) -> int:
    """Return the first step from which nearly all records reach something, but none after the one of the row `latest`."""
    rows = [row for row in np.flatnonzero(reached) if reached[row:].mean() >= NEARLY_ALL]
    row = int(rows[0]) if rows else len(reached) - 1
    return int(series.steps[row if latest is None else min(row, latest)])


def most_from(series: Series, reached: np.ndarray) -> int:
    """Return the step from which the records that reach something outnumber the others by most, the first of several."""
    surplus = [2 * int(reached[row:].sum()) - len(reached[row:]) for row in range(len(reached))]
    return int(series.steps[surplus.index(max(surplus))])


def first_where(series: Series, reached: np.ndarray) -> int:
    return int(series.steps[int(np.argmax(reached))])
