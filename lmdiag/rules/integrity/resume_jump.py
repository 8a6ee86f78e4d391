"""The loss jumps where the run was resumed."""

from collections.abc import Iterator

import numpy as np

from lmdiag.beginning import holds_start
from lmdiag.figures import figure
from lmdiag.finding import Curve, Finding, Findings, NotChecked, Severity, rule
from lmdiag.run import Run, Series
from lmdiag.stats.noise import median_difference_error, scatter, smoothing
from lmdiag.stats.windows import median

BEFORE, AFTER = 10, 5  # records whose medians are compared
LEAST_BEFORE, LEAST_AFTER = 6, 3
NOISE_FROM = 60  # records before the resume that say how noisy the loss is
# Nats by which the loss must have fallen until the resume, and how near, in shares of that, the first record behind it is to the first of the run
FALLEN, AS_AT_FIRST = 1.0, 0.05


@rule(family="integrity", needs=("curve",), severity=Severity.WARNING, min_points=LEAST_BEFORE + LEAST_AFTER)
def check(
    run: Run, curve: Curve, *, least_nats: float = 0.1, least_share: float = 0.03, least_errors: float = 8.0
) -> Findings:
    """The loss is higher behind a loaded checkpoint than before it.

    ## What it looks for
    A resume that did not restore everything: the loss of the first records behind it stands above where it was.

    ## How it decides
    A resume is a checkpoint that the log says was loaded, or a step counter that went back. The median of the five records behind it is held against that of
    the ten before: it must be higher by `least_nats` nats, by `least_share` of the level, and by `least_errors` standard errors of the difference of the medians,
    as for [level-shift](level-shift.md), where the same limits leave healthy logs silent.
    It is an error where the loss had fallen by 1 nat or more since the first record of the run and the first one behind the resume is back there, within 5% of that fall: none of
    the trained weights was loaded.

    ## Why it matters
    What was lost is paid for again, and where the optimizer's moments or the weights are not those that were saved, the run may never be what it would have been.

    ## False alarms it avoids
    Resumes that repeat their losses, the noise of single records, loads before the first record (a fine-tune), a loss that had begun to rise before.

    ## What to try
    Save and load the optimizer's state, the position of the schedule and of the data, the random state and the scaler; hold the loss of one fixed batch against
    that before the save.

    ## References
    - PyTorch, Saving and Loading Models: a general checkpoint for resuming holds more than the weights.
    """
    series = curve.series
    places = sorted(_resumes(run, series))
    if not places:
        yield NotChecked("the log tells of no resume")
        return
    found = [jump for place in places if (jump := _jump(series, place, least_errors))]
    found = [(at, size, level) for at, size, level in found if size >= max(least_nats, least_share * level)]
    if not found:
        return
    at, size, level = max(found, key=lambda jump: jump[1])
    step = int(series.steps[at])
    back = np.flatnonzero(series.values[at:] <= level + size / 4)
    last = int(series.steps[at + back[0]]) if len(back) else run.last_step
    first, begun = float(series.values[0]), float(series.values[at])
    anew = holds_start(run, series) and first - level >= FALLEN and abs(begun - first) <= AS_AT_FIRST * (first - level)
    lost = (
        f" It is {figure(begun)} there, as at the start of the run ({figure(first)}): no trained weights were loaded."
        if anew
        else ""
    )
    more = f", and at {len(found) - 1} other resumes" if len(found) > 1 else ""
    yield Finding(
        f"The loss jumped by {figure(size, 2)} nats, from a median of {figure(level)}, where a checkpoint was loaded, at "
        f"{run.place(step)}{more}.{lost}",
        step,
        last,
        curve.metric,
        {"jump": size, "level_before": level, "resumes": len(places)},
        (
            "Check that the weights of the checkpoint reach the model: names that do not match, a model that is made anew "
            "behind the load."
            if anew
            else "Check that more than the weights is loaded: the optimizer's state, the position of the schedule and of the "
            "data, and the scaler.",
            f"Hold the loss of one fixed batch just before the save against that just after the load at {run.place(step)}.",
        ),
        severity=Severity.ERROR if anew else Severity.WARNING,
        steps=tuple(int(series.steps[place]) for place, _, _ in found),
    )


def _resumes(run: Run, series: Series) -> Iterator[int]:
    """Return the rows of the first records behind each resume."""
    begun = [segment.first_step for segment in run.segments[1:]]
    loaded = [event.step for event in run.events if event.kind == "checkpoint_loaded" and event.step is not None]
    rows = [*np.searchsorted(series.steps, begun), *(_first_behind(series, step) for step in loaded)]
    yield from {int(row) for row in rows if LEAST_BEFORE <= row <= len(series) - LEAST_AFTER}


def _first_behind(series: Series, step: int) -> int:
    """Return the row of the first record behind a load; that of its very step may be the last before it, or the first behind it."""
    at, behind = (int(np.searchsorted(series.steps, step, side=side)) for side in ("left", "right"))
    if at == behind or at < LEAST_BEFORE or behind > len(series) - LEAST_AFTER:
        return behind
    low, high = median(series.values[max(0, at - BEFORE) : at]), median(series.values[behind : behind + AFTER])
    return at if 2 * series.values[at] > low + high else behind


def _jump(series: Series, at: int, least_errors: float) -> tuple[int, float, float] | None:
    """Return the row, the height of the jump there, and the level before it; None where the noise may be the reason."""
    before, after = series.values[max(0, at - BEFORE) : at], series.values[at : at + AFTER]
    level, size = float(median(before)), float(median(after) - median(before))
    if not np.isfinite(size) or float(median(before[len(before) // 2 :])) > level + size / 2:
        return None
    known = series.values[max(0, at - NOISE_FROM) : at]
    error = median_difference_error(scatter(known), smoothing(known), len(before), len(after))
    return (at, size, level) if size > least_errors * error else None
