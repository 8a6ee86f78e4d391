"""The level at which a curve stays once its first records are over, and how sure it is that it stays."""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from lmdiag.stats.limits import LEARNS, STILL, SURE
from lmdiag.stats.noise import scatter, smoothing
from lmdiag.stats.trend import mann_kendall
from lmdiag.stats.windows import median, quantile

END, END_ERRORS = 0.1, 2.0  # of the records: the last of them show whether a curve left its level

CLIPPED = 4.0  # standard deviations from the median, or the 10 to 90% range: a spike counts as so much


class Level(Struct, frozen=True):
    """Where a curve stays, in its own unit, from the record `first` on.

    `value` is their mean, outliers clipped, and `error` its standard error, `end` the mean of the last tenth of the curve and
    `end_error` that of it; `gain` is how far the curve falls in between, with its standard error, and `rank_trend` the Mann-Kendall z.
    """

    first: int
    value: float
    error: float
    end: float
    end_error: float
    gain: float
    gain_error: float
    rank_trend: float

    def is_at(self, cost: float, near: float) -> bool:
        """Tell whether the level, its error and, as far as the noise can tell, its end are within a share of some cost."""
        limit = near * cost
        ends = abs(self.end - cost) <= limit + END_ERRORS * self.end_error
        return bool(abs(self.value - cost) <= limit and self.error <= limit and ends)

    def is_flat(self, share: float) -> bool:
        """Tell whether the curve is surely (95%) flat: an equivalence test, not a missing trend."""
        return abs(self.gain) + SURE * self.gain_error < share * abs(self.value)

    def stays(self, share: float) -> bool:
        """Tell whether the curve is surely flat, and what little it may fall is not a clear trend."""
        return self.is_flat(share) and (self.rank_trend > LEARNS or self.gain < STILL * abs(self.value))


def level(values: np.ndarray, share: float) -> Level:
    """Return the level of the last `share` of a curve of ten finite values or more.

    >>> kept = level(np.r_[2.0, 1.5, 1.1, np.full(27, 0.7)], 0.8)
    >>> kept.first, round(kept.value, 3), kept.is_at(np.log(2), 0.01), kept.is_flat(0.01)
    (6, 0.7, True, True)
    """
    first = len(values) - max(2, round(share * len(values)))
    late = values[first:]
    last = max(1, round(END / share * len(late)))
    sigma, phi = scatter(late), smoothing(late)
    middle, most = float(median(late)), max(CLIPPED * sigma, quantile(late, 0.9) - quantile(late, 0.1))
    late = np.clip(late, middle - most, middle + most)
    error = sigma * float(np.sqrt((1 + phi) / (1 - phi)))
    at = np.linspace(-0.5, 0.5, len(late))
    slope = float(at @ late / (at @ at))  # least squares, over the whole stretch
    return Level(
        first,
        float(late.mean()),
        error / float(np.sqrt(len(late))),
        float(late[-last:].mean()),
        error / float(np.sqrt(last)),
        -slope,
        error / float(np.sqrt(at @ at)),
        mann_kendall(late),
    )
