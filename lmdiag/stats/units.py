"""What numbers are of which the log does not say it: entropies of tokens or of a density."""

from __future__ import annotations

import numpy as np

ROUNDING = 1e-3  # nats: what low precision makes of an entropy of 0
NEGATIVE = 0.1  # of the records


def of_density(entropies: np.ndarray) -> bool:
    """Tell whether entropies are those of a density, or negated: one in ten or more is below 0 by more than rounding.

    >>> of_density(np.array([0.5, 0.1, -1e-9])), of_density(np.array([0.5, -0.1, -0.3]))
    (False, True)
    """
    return float((entropies < -ROUNDING).mean()) >= NEGATIVE
