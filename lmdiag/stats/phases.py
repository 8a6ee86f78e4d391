"""What the learning rate says about a stretch of training, and whether a log shows the start of its run."""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from lmdiag.stats.windows import median, remembered

WARM = 0.99  # share of the peak at which warm-up is over


class Phases(Struct, frozen=True):
    """The phases of a learning-rate schedule.

    `peak` is the largest rate; `warm_step` the first step at 99% of it; `still_warming` whether the log ends inside
    warm-up; `final` the last rate over the peak.
    """

    peak: float
    warm_step: int
    final: float
    still_warming: bool


@remembered
def phases(steps: np.ndarray, lr: np.ndarray) -> Phases | None:
    """Return the phases of a schedule, or None when the rate was never positive.

    >>> phases(np.arange(5), np.array([0.1, 0.5, 1.0, 1.0, 0.2])).warm_step
    2
    """
    good = np.isfinite(lr)
    if not good.all():
        steps, lr = steps[good], lr[good]
    peak = float(lr.max()) if len(lr) else 0.0
    if peak <= 0:
        return None
    warming = lr[-1] >= WARM * peak and lr[int(0.75 * (len(lr) - 1))] < 0.98 * peak
    return Phases(peak, int(steps[np.argmax(lr >= WARM * peak)]), float(lr[-1]) / peak, bool(warming))


@remembered
def holds_start(steps: np.ndarray) -> bool:
    """Tell whether a log begins where its run began, and not somewhere in the middle.

    Logs of window means start at their spacing, so 10% of the range alone would fail short logs.

    >>> holds_start(np.array([10, 20, 30])), holds_start(np.arange(8002, 9000))
    (True, False)
    """
    if len(steps) < 2:
        return len(steps) == 1 and bool(steps[0] <= 1)
    spacing = float(median(np.diff(steps)))
    return bool(steps[0] <= max(0.1 * float(steps[-1] - steps[0]), 2.2 * spacing) + 1)


def covered(steps: np.ndarray, whole: np.ndarray) -> float:
    """Return what share of a run some of its records stand for, by its steps: few where the log is denser than elsewhere.

    >>> covered(np.arange(1000, 1010), np.r_[np.arange(0, 1000, 100), np.arange(1000, 1010)])
    0.009910802775024777
    """
    span = float(whole[-1] - whole[0])
    return float(steps[-1] - steps[0]) * len(steps) / max(len(steps) - 1, 1) / span if span > 0 else 1.0
