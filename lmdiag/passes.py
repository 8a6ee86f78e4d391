"""Where in its passes over the data a run is, and whether a curve swings in step with them."""

from __future__ import annotations

import numpy as np

from lmdiag.run import Run, Series
from lmdiag.stats.alignment import along
from lmdiag.stats.windows import median

LEAST_PASSES, LEAST_IN_EACH = 4, 4  # chance folds a curve of four passes to a quarter of its variance
PARTS, IN_STEP = 8, 0.6  # of a pass; of the variance that is the same in every pass


def passed_at(steps: np.ndarray, epochs: Series) -> np.ndarray:
    """Return at which epoch each step is, as a fraction; a counter of whole epochs tells it only where it changes."""
    if (epochs.values != np.rint(epochs.values)).any():
        return along(steps, epochs.steps, epochs.values)
    begins = np.flatnonzero(np.diff(epochs.values, prepend=-np.inf) > 0)
    knots, counts = epochs.steps[begins].astype(float), epochs.values[begins].astype(float)
    if len(knots) > 1:
        length = median(np.diff(knots) / np.diff(counts))
        knots, counts = np.append(knots, knots[-1] + length), np.append(counts, counts[-1] + 1)
    return np.interp(steps, knots, counts)


def keeps_time(run: Run, steps: np.ndarray, around: np.ndarray) -> bool:
    """Tell whether swings are those of the passes: most of their variance is the same at the same place of every pass.

    >>> steps = np.arange(0, 60)
    >>> run = Run("a", {"epoch": Series(steps, 1.0 + steps // 10)})
    >>> keeps_time(run, steps, steps % 10 - 4.5), keeps_time(run, steps, np.sin(steps / 2.3))
    (True, False)
    """
    epochs = run.series["epoch"].finite if "epoch" in run.series else None
    if epochs is None or len(epochs) < 2 or len(around) < 2:
        return False
    at = passed_at(steps, epochs)
    passed = float(at[-1] - at[0])
    if passed < LEAST_PASSES or len(around) < LEAST_IN_EACH * passed:
        return False
    part = (at % 1 * PARTS).astype(int)
    means = {p: float(around[part == p].mean()) for p in np.unique(part)}
    rest = around - np.array([means[p] for p in part])
    return float(rest.var()) <= (1 - IN_STEP) * float(around.var())
