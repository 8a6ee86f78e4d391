"""Sharp steps of a training loss: what a model learns, it learns in a curve; what drops at once is other data."""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from lmdiag.loss_law import unexplained
from lmdiag.run import Run, Series
from lmdiag.stats.change import Shift, sharp_steps
from lmdiag.stats.limits import LONGEST, SMOOTHED
from lmdiag.stats.noise import smoothing
from lmdiag.stats.schedule import observed
from lmdiag.stats.windows import median

POINTS = 200
LEAST_ERRORS = 6.0
START = 10  # the first tenth is steep
AS_MUCH = 0.5  # of a rise, in the drop before it
NEAR = 0.05  # of the run, between the onset and the step


class Unexplained(Struct, frozen=True):
    """What the law of the loss leaves over behind the steep start, as shares, and the records that it is left of."""

    left: np.ndarray
    rest: Series

    @property
    def smoothed(self) -> bool:
        return smoothing(self.left) > SMOOTHED

    def steps(self, widely: bool = False) -> list[Shift]:
        """Return the steps that happen at once, by six standard errors or more, in order; `widely` as for `sharp_steps`."""
        return sharp_steps(self.left, LEAST_ERRORS, widely)


def left_over(run: Run, losses: Series) -> Unexplained:
    """Return what the law of the loss leaves over of a curve of at most `LONGEST` records."""
    margin = len(losses) // START
    schedule = observed(run["lr"].steps, run["lr"].values) if "lr" in run else None
    left = unexplained(losses.steps, losses.values, schedule)
    return Unexplained(left[margin:], losses.at(slice(margin, None)))


def dropped_before(run: Run, losses: Series, onset: int) -> int | None:
    """Return the step at which the loss had dropped below all it had been, where it rises as suddenly near `onset`; or None.

    Half of the rise is enough of a drop: blocks of data of so different levels are in this log, and the rise is the next of them.
    """
    losses = losses.thinned(LONGEST)
    if len(losses) < POINTS or (losses.values <= 0).any():
        return None
    found = left_over(run, losses)
    steps = found.steps() if not found.smoothed else []
    at = [int(found.rest.steps[step.at]) for step in steps]
    levels = [float(median(part)) for part in np.split(found.left, [step.at for step in steps])]
    near = NEAR * (losses.steps[-1] - losses.steps[0])
    rises = [levels[k + 1] - levels[k] for k in range(len(steps)) if abs(at[k] - onset) <= near]
    rise = max(rises, default=0.0)
    if rise <= 0:
        return None
    drops = (k for k in range(len(steps)) if min(levels[: k + 1]) - levels[k + 1] >= AS_MUCH * rise)
    return next((at[k] for k in drops if at[k] < onset), None)
