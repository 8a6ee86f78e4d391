import numpy as np

from lmdiag.data_steps import POINTS, START, left_over
from lmdiag.figures import figure
from lmdiag.finding import Curve, Finding, Findings, NotChecked, Severity, rule, too_few
from lmdiag.run import Run, Series
from lmdiag.stats.change import SHARP_ERRORS, Shift, jump_of
from lmdiag.stats.limits import LONGEST
from lmdiag.stats.noise import median_difference_error, scatter, smoothing, wander
from lmdiag.stats.windows import median, medians_around, rolling_median

LEAST_NATS, LEAST_SHARE = 0.1, 0.03
WANDERS = 3.0  # times what stretches of the same length differ by elsewhere
# By which the fall and the rise may differ, as a share of the larger: the loss goes on falling in between
SAME_SIZE = 0.4
WORTH = 0.02  # of the run: fewer steps in vain are no alarm
UNMOVED = 0.5  # of the step: what the evaluation may follow of it


@rule(family="data", needs=("curve",), severity=Severity.INFO, min_points=POINTS)
def check(run: Run, curve: Curve) -> Findings:
    """Loss is lower for a stretch of the run, and the evaluation is not.

    ## What it looks for
    A training loss that steps down from one record to the next and steps up again later, back to where it would have been.

    ## How it decides
    What the law of the loss leaves over is split by binary segmentation. A step down and the step up behind it must each have six standard errors and 60%
    of their size within a few records (as many as the noise asks for, up to a quarter of the stretches beside the step), 0.1 nat, 3% of the level and three times what stretches of the same length differ by elsewhere, and differ by 40% at most. A warning where the stretch is 2% of the run or more, evaluations were taken in it and
    they followed by less than half of the step: the text of the stretch was easier or known, the model no better. Else it is
    information.

    ## Why it matters
    Steps on text that the model has seen already, or on padding and boilerplate, teach it little. The step up at the end looks like a
    divergence and is none.

    ## False alarms it avoids
    Levels that last (`level-shift`), staircases of epochs, decay of the learning rate, the steep start (the first tenth), smoothed logs.

    ## What to try
    Decode a batch of the stretch and one from before it: was this text read before, is it boilerplate or padding?

    ## References
    - Hernandez et al. 2022, Scaling laws and interpretability of learning from repeated data, arXiv:2205.10487.
    """
    losses = curve.series.thinned(LONGEST)
    if len(losses) < POINTS:
        yield too_few(len(losses), "finite values of the loss", POINTS)
        return
    if (losses.values <= 0).any():
        yield NotChecked("the loss is not above 0 in every record")
        return
    if not _steps_up(losses.values[len(losses) // START :]):
        return
    found = left_over(run, losses)
    if found.smoothed:
        yield NotChecked("the loss was averaged over many records before it was logged")
        return
    rest = found.rest
    for first, stop, share in _dips(found.left, found.steps(widely=True)):
        size = share * float(median(rest.values[:first][-(len(losses) // START) :]))
        if size >= LEAST_NATS:
            yield _finding(run, curve.metric, rest, first, stop, size)
            return


def _steps_up(values: np.ndarray) -> bool:
    """Tell whether the level is anywhere 3% and its noise higher than just before: without that no law needs to be fitted."""
    for width in (max(6, len(values) // 50), max(20, len(values) // 20)):
        levels = rolling_median(values, width)
        before, rises = levels[: -width - 1], levels[width + 1 :] - levels[: -width - 1]
        rises = rises[rises >= LEAST_SHARE * before]
        if not len(rises):
            continue
        noise = SHARP_ERRORS * median_difference_error(scatter(values), smoothing(values), width, width)
        if rises.max() >= noise:
            return True
    return False


def _dips(left: np.ndarray, sharp: list[Shift]) -> list[tuple[int, int, float]]:
    """Return where the level steps down, where the next step leads back up, and the mean size of the two."""
    steps = [(s.at, jump_of(left, s)) for s in sharp]
    return [
        (first, stop, (up - down) / 2)
        for (first, down), (stop, up) in zip(steps, steps[1:])
        if min(-down, up) >= max(LEAST_SHARE, WANDERS * wander(left, stop - first))
        and abs(down + up) <= SAME_SIZE * max(-down, up)
    ]


def _finding(run: Run, metric: str, rest: Series, first: int, stop: int, size: float) -> Finding:
    begin, end = int(rest.steps[first]), int(rest.steps[stop - 1])
    share = (end - begin) / max(run.last_step - run.first_step, 1)
    level = float(median(rest.values[max(0, first - (stop - first)) : first]))
    unmoved = metric == "loss" and _evaluation_unmoved(run, rest, begin, end, size)
    told = ", and the evaluation is not" if unmoved else ""
    return Finding(
        f"The loss is {figure(size, 2)} nats ({size / level:.0%}) lower from {run.place(begin)} to {run.place(end)} only{told}.",
        begin,
        end,
        metric,
        {"nats": size, "level_before": level, "share": share},
        (
            f"Decode a batch from these {run.unit}s and one from before: has this text been read before, is it boilerplate or padding?",
            f"Restore the sampler and leave the repeated text out, or train on from before {run.place(begin)} without it.",
            "Compare with other runs before or behind the stretch, not within it.",
        ),
        Severity.WARNING if unmoved and share >= WORTH else Severity.INFO,
    )


def _evaluation_unmoved(run: Run, rest: Series, begin: int, end: int, size: float) -> bool:
    """Tell whether the evaluations of the stretch stand as much further above the training loss as that is lower."""
    if run.evaluation is None:
        return False
    evaluations = run.evaluation[1].finite
    evaluations = evaluations.at(evaluations.steps >= rest.steps[0])
    gaps = evaluations.values - medians_around(evaluations.steps, rest.steps, rest.values)[0]
    within = (evaluations.steps > begin) & (evaluations.steps < end)
    if not within.any() or (~within).sum() < 2:
        return False
    return float(median(gaps[within]) - median(gaps[~within])) >= UNMOVED * size
