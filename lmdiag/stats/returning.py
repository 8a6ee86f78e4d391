"""Whether the loss is back at its beginning where a counter starts again: another run, or the next epoch of this one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lmdiag.stats.noise import scatter
from lmdiag.stats.windows import median

AROUND = 3  # records on each side of a restart by which the levels are compared
CLEAR = 5.0  # standard deviations of the noise that chance does not make in a thousand restarts
NOISE = 1000  # records before a restart whose scatter is the noise there: all before each would be quadratic


def loss_returns(values: np.ndarray, starts: Sequence[int] | np.ndarray, clear: float = CLEAR) -> list[bool]:
    """Tell for each restart whether the loss is back where the log began, or above, as when another run begins.

    It is back if it had left its beginning by `clear` deviations of the noise; with 0 it may be there by chance.

    >>> loss_returns(np.array([9.0, 6, 4, 8.8, 6, 4]), [3]), loss_returns(np.array([9.0, 6, 4, 4, 3, 2]), [3])
    ([True], [False])
    """
    finite = values[np.isfinite(values)]
    if not len(finite):
        return [False] * len(starts)
    first = finite[0]
    returned = []
    for at in np.concatenate([[0], np.cumsum(np.isfinite(values))])[np.asarray(starts, np.int64)].tolist():
        if at == len(finite):
            returned.append(False)
            continue
        recent = finite[max(at - AROUND, 0) : at] if at else finite[:1]
        before_it = median(recent)
        near = abs(finite[at] - first) < 0.25 * abs(first - before_it)
        above = finite[at] > first > before_it
        left = float(np.max(np.abs(first - recent))) if near else first - before_it
        least = clear if near else CLEAR
        returned.append(
            bool(near or above) and bool(left > (least and least * scatter(finite[max(at - NOISE, 0) : at])))
        )
    return returned
