"""What the reader chose to see."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lmdiag.charts.downsampling import kept
from lmdiag.finding import Finding
from lmdiag.run import Run, Series

AXES = {"step": "step", "tokens": "tokens", "epoch": "epoch", "elapsed": "hours", "relative": "share of the run"}
STEP_KINDS = {"step": "step", "epoch": "epoch", "tokens": "tokens", "samples": "samples", "record": "record"}


STEPS_TRIED = 4001  # between which the step at a position is found


@dataclass(frozen=True)
class View:
    """What the reader chose to see; the same for every chart of a run.

    `steps` is the range of steps shown, None for all; `half_life` of the smoothing is in steps, 0 for none;
    `loss_as` is `loss`, `perplexity` or `bits_per_byte`; `full_range` shows every outlier instead of marking it at the
    edge; `until` is the step up to which there is room for a forecast; `across` is the stretch of the x axis that
    several runs share, None for all; the smooth mean begins anew at the steps `onsets`;
    `marked` is the finding that the reader looks at.
    """

    axis: str = "step"
    steps: tuple[float, float] | None = None
    half_life: float = 0.0
    loss_as: str = "loss"
    log_y: bool = False
    full_range: bool = False
    dark: bool = False
    until: float | None = None
    across: tuple[float, float] | None = None
    onsets: tuple[int, ...] = ()
    marked: Finding | None = None

    def cut(self, series: Series) -> Series:
        """Return the points of a series that are in view."""
        return series if self.steps is None else series.between(*self.steps)


def axes_of(run: Run) -> list[str]:
    """Return the x axes this run can be drawn over.

    >>> axes_of(Run("a", {"loss": Series(np.array([1, 2]), np.array([2.0, 1.0]))}))
    ['step', 'relative']
    """
    return [axis for axis in AXES if axis in ("step", "relative") or _clock(run, axis) is not None]


def axis_title(run: Run, axis: str) -> str:
    """Return the words under the x axis."""
    return STEP_KINDS.get(run.step_kind, run.step_kind) if axis == "step" else AXES[axis]


def positions(run: Run, axis: str, steps: np.ndarray) -> np.ndarray:
    """Return the positions of `steps` on an x axis, interpolated between the steps at which its quantity was logged.

    >>> run = Run("a", {"tokens": Series(np.array([0, 10]), np.array([0.0, 1000.0]))})
    >>> positions(run, "tokens", np.array([0, 5, 10])).tolist(), positions(run, "relative", np.array([5])).tolist()
    ([0.0, 500.0, 1000.0], [0.5])
    """
    if axis == "relative":
        return (steps - run.first_step) / max(run.last_step - run.first_step, 1)
    clock = None if axis == "step" else _clock(run, axis)
    if clock is None:
        return np.asarray(steps, float)
    return np.interp(steps, clock.steps, clock.values)


def steps_at(run: Run, axis: str, places: np.ndarray) -> np.ndarray:
    """Return the steps at positions on an x axis, those before its first and after its last one where the run is not there.

    >>> run = Run("a", {"tokens": Series(np.array([0, 10]), np.array([0.0, 1000.0]))})
    >>> steps_at(run, "tokens", np.array([250.0, 1000.0])).tolist()
    [2.5, 10.0]
    """
    if axis == "step":
        return np.asarray(places, float)
    steps = np.linspace(run.first_step, run.last_step, STEPS_TRIED)
    across = positions(run, axis, steps)
    found = np.interp(places, across, steps)
    return np.where(places < across[0], run.first_step - 1.0, np.where(places > across[-1], run.last_step + 1.0, found))


def _clock(run: Run, axis: str) -> Series | None:
    return kept(run, f"clock {axis}", lambda: _find_clock(run, axis))


def _find_clock(run: Run, axis: str) -> Series | None:
    if axis == "tokens":
        return run.tokens
    if axis == "epoch":
        series = run.series.get("epoch")
    elif "elapsed_s" in run:
        series = run["elapsed_s"]
    else:
        series = run.series.get("time")
    if series is None or len(series.finite) < 2:
        return None
    finite = series.finite
    rising = np.maximum.accumulate(finite.values)
    return Series(finite.steps, (rising - rising[0]) / 3600.0 if axis == "elapsed" else rising)
