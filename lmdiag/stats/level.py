"""The level at which a curve stays once its first records are over, and how sure it is that it stays."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from msgspec import Struct

from lmdiag.stats.limits import LEARNS, STILL, SURE
from lmdiag.stats.noise import scatter, smoothing
from lmdiag.stats.trend import mann_kendall
from lmdiag.stats.windows import median, quantile

END, END_ERRORS = 0.1, 2.0  # of the records: the last of them show whether a curve left its level

CLIPPED = 4.0  # standard deviations from the median, or the 10 to 90% range: a spike counts as so much


class Level(Struct, frozen=True, dict=True, eq=False):
    """Where a curve stays, in its own unit, from the record `first` on; `late` are its records from there, the last `last` its end.

    What is not asked for is not computed: the errors ask how the log was smoothed, which takes longer than all the rest.
    """

    first: int
    late: np.ndarray
    last: int

    @cached_property
    def clipped(self) -> np.ndarray:
        """The records, outliers clipped."""
        middle, low, high = float(median(self.late)), quantile(self.late, 0.1), quantile(self.late, 0.9)
        most = max(CLIPPED * self._sigma, high - low)
        return np.clip(self.late, middle - most, middle + most)

    @cached_property
    def value(self) -> float:
        """The mean of the records."""
        return float(self.clipped.mean())

    @property
    def end(self) -> float:
        """The mean of the last tenth of the curve."""
        return float(self.clipped[-self.last :].mean())

    @cached_property
    def gain(self) -> float:
        """How far the curve falls in between, by least squares."""
        at = self._places
        return -float(at @ self.clipped / (at @ at))

    @property
    def error(self) -> float:
        """The standard error of the value."""
        return self._error_of_one / float(np.sqrt(len(self.late)))

    @property
    def end_error(self) -> float:
        """The standard error of the end."""
        return self._error_of_one / float(np.sqrt(self.last))

    @property
    def gain_error(self) -> float:
        """The standard error of the gain."""
        return self._error_of_one / float(np.sqrt(self._places @ self._places))

    @cached_property
    def rank_trend(self) -> float:
        """The Mann-Kendall z."""
        return mann_kendall(self.clipped)

    @cached_property
    def _sigma(self) -> float:
        return scatter(self.late)

    @cached_property
    def _error_of_one(self) -> float:
        phi = smoothing(self.late)
        return self._sigma * float(np.sqrt((1 + phi) / (1 - phi)))

    @property
    def _places(self) -> np.ndarray:
        return np.linspace(-0.5, 0.5, len(self.late))

    def is_at(self, cost: float, near: float) -> bool:
        """Tell whether the level, its error and, as far as the noise can tell, its end are within a share of some cost."""
        limit = near * cost
        if abs(self.value - cost) > limit or self.error > limit:
            return False
        return bool(abs(self.end - cost) <= limit + END_ERRORS * self.end_error)

    def is_flat(self, share: float) -> bool:
        """Tell whether the curve is surely (95%) flat: an equivalence test, not a missing trend."""
        gained, limit = abs(self.gain), share * abs(self.value)
        return gained < limit and gained + SURE * self.gain_error < limit

    def stays(self, share: float) -> bool:
        """Tell whether the curve is surely flat, and what little it may fall is not a clear trend."""
        return self.is_flat(share) and (self.gain < STILL * abs(self.value) or self.rank_trend > LEARNS)


def level(values: np.ndarray, share: float) -> Level:
    """Return the level of the last `share` of a curve of ten finite values or more.

    >>> kept = level(np.r_[2.0, 1.5, 1.1, np.full(27, 0.7)], 0.8)
    >>> kept.first, round(kept.value, 3), kept.is_at(np.log(2), 0.01), kept.is_flat(0.01)
    (6, 0.7, True, True)
    """
    first = len(values) - max(2, round(share * len(values)))
    late = values[first:]
    return Level(first, late, max(1, round(END / share * len(late))))
