"""Whether a log shows the start of its run, by its steps or the passes over the data that it tells, and whether it goes beyond the warm-up."""

from __future__ import annotations

import numpy as np

from lmdiag.run import Run, Series
from lmdiag.stats import phases
from lmdiag.stats.windows import median

ROUNDED = 0.011  # of a pass: fractions are printed with two decimals
PASSES, STEPS = 2, 500  # over so many no warm-up leaves all of a loss where it was


def still_warming(run: Run) -> bool:
    """Tell whether a log says its learning rates, and ends while they rise for the first time.

    >>> steps, rates = np.arange(1, 5), np.array([0.1, 0.2, 0.3, 0.4])
    >>> still_warming(Run("a", {"lr": Series(steps, rates)})), still_warming(Run("a", {"lr": Series(steps, rates[::-1])}))
    (True, False)
    """
    schedule = phases.phases(run["lr"].steps, run["lr"].values) if "lr" in run else None
    return schedule is not None and schedule.still_warming


def outlasts_warm_up(run: Run, series: Series) -> bool:
    """Tell whether values of a run cover some passes over its data, or enough steps, and do not end in warm-up."""
    if still_warming(run):
        return False
    passes = float(run["epoch"].finite.values[-1]) if "epoch" in run and len(run["epoch"].finite) else 0.0
    span = int(series.steps[-1] - series.steps[0])
    return run.step_kind == "epoch" or passes >= PASSES or (run.step_kind == "step" and span >= STEPS)


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
