"""What numbers are of which the log does not say it: shares or percent, entropies of tokens or of a density."""

from __future__ import annotations

import numpy as np

PERCENT = 1.5  # a share is 1 at most, but for rounding and estimates of it
ROUNDING = 1e-3  # nats: what low precision makes of an entropy of 0
NEGATIVE = 0.1  # of the records


def shares(values: np.ndarray) -> np.ndarray | None:
    """Return shares of one, also where the log writes percent: within 0 to 100, and one above 1.5; None where they are neither.

    Percent that never exceed 1.5 cannot be told from shares, and are taken for them.

    >>> shares(np.array([8.0, 3.0])), shares(np.array([0.5, 1.0])), shares(np.array([0.5, 120.0]))
    (array([0.08, 0.03]), array([0.5, 1. ]), None)
    """
    if not len(values):
        return values
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if low < 0 or high > 100:
        return None
    return values / 100 if high > PERCENT else values


def of_density(entropies: np.ndarray) -> bool:
    """Tell whether entropies are those of a density, or negated: one in ten or more is below 0 by more than rounding.

    >>> of_density(np.array([0.5, 0.1, -1e-9])), of_density(np.array([0.5, -0.1, -0.3]))
    (False, True)
    """
    return float((entropies < -ROUNDING).mean()) >= NEGATIVE
