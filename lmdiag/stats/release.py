"""Was a loss held up by its learning rate: did it hardly fall while the rate was high, and fall as the rate did?"""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from lmdiag.stats.noise import median_difference_error, scatter, smoothing
from lmdiag.stats.windows import median

FEWEST = 40  # records
SETTLED, LOW = 0.2, 0.5  # of the records, what is left of the steep start; of the peak rate, where its low part begins
LEAST, ERRORS = 0.15, 5.0  # of the level, by which the loss falls at a low rate: annealing a sound run gives up to 8%
AS_FAST = 1.0  # of its speed before, at the high rate: sound runs reach 0.7 (BERT over two epochs, with a linear decay)
CUT = 2  # records within which a rate falls from 80% of its peak to a half: a cut, and no decay
SOON = 0.25  # of what is left behind a cut, in which half of the fall must lie
# Shares of the fall that lie above some share of the peak rate, between these of a decay: what sets in by itself keeps no such time
BETWEEN = ((0.5, 0.0, 0.8), (0.25, 0.3, 0.95))


class Release(Struct, frozen=True):
    """A fall that the rate had held up: rows where the loss stood from and where the rate was half of its peak, the levels there and at the end.

    `cut`: the rate fell at once.
    """

    since: int
    turned: int
    held: float
    end: float
    cut: bool


def released(values: np.ndarray, rates: np.ndarray) -> Release | None:
    """Return how far a loss fell when its rate did, None where it fell before as fast, or as little as annealing makes it.

    `rates` are those at the records. The loss must fall by 15% of its level at less than half of the peak rate, as fast or faster than at
    more than that, and with the rate: at once behind a cut, and gradually in a decay.

    >>> shown = np.r_[np.ones(60), np.linspace(1, 0, 40)]
    >>> found = released(2 + shown, shown)
    >>> found.since, found.turned, round(found.held, 1)
    (20, 80, 2.5)
    >>> released(2 + 8 / (1 + np.arange(100)), shown) is None
    True
    """
    n = len(values)
    shares = rates / max(float(rates.max()), 1e-300)
    since = max(int(np.argmax(shares >= LOW)), int(SETTLED * n))
    high = np.flatnonzero(shares >= LOW)
    turned = int(high[-1]) + 1 if len(high) else 0
    before, behind = (turned - since) // 4, (n - turned) // 3
    if n < FEWEST or before < 3 or behind < 2:
        return None
    cut = shares[max(turned - CUT, 0)] >= 0.8
    start, end = float(median(values[since : since + before])), float(median(values[-behind:]))
    beside = min(behind, turned - since)
    held = float(median(values[turned - before : turned] if cut else values[turned - beside : turned + beside]))
    fall, earlier = held - end, start - held
    if fall < LEAST * abs(held) or fall / (n - turned) < AS_FAST * earlier / (turned - since):
        return None
    error = median_difference_error(scatter(values[since:turned]), smoothing(values), min(before, behind), behind)
    if fall < ERRORS * error:
        return None
    follows = _at_once(values, turned, held, end) if cut else _gradually(values, shares, since, start, end)
    return Release(since, turned, held, end, bool(cut)) if follows else None


def _at_once(values: np.ndarray, cut: int, held: float, end: float) -> bool:
    soon = values[cut : cut + max(3, int(SOON * (len(values) - cut)))]
    return bool(held - median(soon[len(soon) // 2 :]) >= 0.5 * (held - end))


def _gradually(values: np.ndarray, shares: np.ndarray, since: int, start: float, end: float) -> bool:
    for share, least, most in BETWEEN:
        row = int(np.flatnonzero(shares >= share)[-1])
        width = max(3, (len(values) - row) // 10)
        part = (start - float(median(values[max(row - width, since) : row + width]))) / max(start - end, 1e-300)
        if not least <= part <= most:
            return False
    return True
