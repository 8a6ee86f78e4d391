"""Whether a log shows the start of its run: by its steps and, where it has none, by the passes over the data that it tells."""

from __future__ import annotations

import numpy as np

from lmdiag.run import Run, Series
from lmdiag.stats import phases
from lmdiag.stats.windows import median

ROUNDED = 0.011  # of a pass: fractions are printed with two decimals


def holds_start(run: Run, series: Series) -> bool:
    """Tell whether values of a run begin where it began, and not somewhere in the middle.

    Records that are only counted begin at 1 whatever they are; fractions of a pass tell where.

    >>> told = {"loss": Series(np.arange(1, 4), np.ones(3)), "epoch": Series(np.arange(1, 4), np.array([0.66, 0.67, 0.68]))}
    >>> holds_start(Run("a", told, step_kind="record"), told["loss"]), holds_start(Run("a", told), told["loss"])
    (False, True)
    """
    if not phases.holds_start(series.steps):
        return False
    told = run.series["epoch"].finite.values if run.step_kind == "record" and "epoch" in run else np.empty(0)
    if len(told) < 2 or not (told % 1).any():
        return True
    return bool(told[0] <= max(0.1 * float(np.ptp(told)), 2.2 * float(median(np.diff(told)))) + ROUNDED)
