"""How far a curve has come: its level at the start and at the end, its fall, and how sure the fall is."""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from lmdiag.stats.limits import LONGEST
from lmdiag.stats.noise import MEDIAN_ERROR, scatter
from lmdiag.stats.trend import mann_kendall, total_gain
from lmdiag.stats.windows import block_medians, lowest_median, median, quantile, remembered


class Progress(Struct, frozen=True):
    """Level and fall of a curve, in its own unit.

    `start` is the median of the first tenth (1 to 5 records), `end` that of the last quarter, `fall` the difference of the medians of
    the first and last third, `best_fall` from `start` to the lowest rolling median of n/10, `gain` the robust trend without
    the first tenth with its standard error, `rank_trend` the Mann-Kendall z, `low` and `high` the 10% and 90% quantiles.
    """

    records: int
    start: float
    end: float
    fall: float
    best_fall: float
    gain: float
    gain_error: float
    end_error: float
    rank_trend: float
    sigma: float
    low: float
    high: float


@remembered
def progress(values: np.ndarray) -> Progress:
    """Return how far a curve of at least four finite values has come.

    >>> flat = progress(np.full(40, 10.4))
    >>> flat.fall, flat.rank_trend
    (0.0, 0.0)
    """
    records = len(values)
    if records > LONGEST:
        values, _ = block_medians(values, LONGEST)
    n = len(values)
    first, quarter, third = min(5, max(1, n // 10)), max(1, n // 4), max(1, n // 3)
    start, end, sigma = float(median(values[:first])), float(median(values[-quarter:])), scatter(values)
    gain, gain_error = total_gain(values)
    return Progress(
        records,
        start,
        end,
        float(median(values[:third]) - median(values[-third:])),
        start - lowest_median(values, n // 10 | 1),
        gain,
        gain_error,
        MEDIAN_ERROR * sigma * float(np.sqrt(1 / first + 1 / quarter)),
        mann_kendall(values),
        sigma,
        quantile(values, 0.1),
        quantile(values, 0.9),
    )
