import numpy as np
from msgspec import Struct

from lmdiag import advice
from lmdiag.data_steps import dropped_before
from lmdiag.figures import figure
from lmdiag.finding import Curve, Finding, Findings, Severity, rule, too_few
from lmdiag.run import Run
from lmdiag.stats.limits import LONGEST
from lmdiag.stats.noise import MEDIAN_ERROR, lasting_scatter, scatter
from lmdiag.stats.rebound import sustained_rise
from lmdiag.stats.windows import median, medians_around, quantile, rolling_median

POINTS = 12
WIDTH, WIDEST = 3, 9  # records of the window that is compared: less than a fiftieth of the log, where that is more
LEAST_RECORDS = 5  # what is over sooner is a spike
LEAST_NATS, ERRORS = 0.3, 5.0
LUCKY_FIRST = 3.0  # standard deviations by which the first record may lie too low
BACK = 0.25  # of the rise: what may be left of it
LONG, EARLY, HIGH, HIGH_NATS = 0.10, 0.10, 0.5, 1.0  # shares of the run; of the level, and nats
LOST = 0.5  # of what was gained since the first records
WENT_ALONG = 0.5  # of the rise, in the evaluations taken meanwhile


class Hump(Struct, frozen=True):
    """A rise that came back: indices where it begins, is highest, and is over; the level before and the highest one."""

    first: int
    peak: int
    back: int
    level: float
    highest: float

    @property
    def share(self) -> float:
        return (self.highest - self.level) / abs(self.level)


@rule(family="divergence", needs=("curve",), severity=Severity.WARNING, min_points=POINTS)
def check(run: Run, curve: Curve, *, smallest: float = 0.2) -> Findings:
    """Loss rises far above its level, for longer than a spike, and comes back.

    ## What it looks for
    A blow-up in the first steps that the run recovers from, or a hump on the way down.

    ## How it decides
    The median of a few neighbouring records (three; up to nine of a long log) is compared with the lowest one before it,
    or with the first record.

    | asks for | why that much |
    |---|---|
    | `smallest` (20%) and 0.3 nat above it | new data, or a rate that restarts, costs a few percent |
    | 5 standard errors and the luck of the lowest of n above it, noise that lasts counted | one of many windows is low by chance |
    | 5 such medians or more | what is over sooner is a `loss-spike` |
    | back, to a quarter of the rise and within these limits, before the end of the log | what stays up is `divergence`; beside one nothing is said |

    It is a warning where it takes a tenth of the run, or where the loss rises by half of its level, and by one nat or half of what it had fallen since its first records, after the
    first tenth: what was learned before is lost. Else it is information, and so it is where the evaluations taken meanwhile do not rise with it by half
    as much: other data, not a worse model. A log of more than 1,000 records is looked at twice: its first 1,000
    records, and the medians of 1,000 stretches.

    ## Why it matters
    The steps from the onset until the loss is back where it was are lost, and some runs never make up for it.

    ## False alarms it avoids
    Noise, spikes, steps of an epoch, blocks of other data, changes of the mixture that the evaluations do not follow.

    ## What to try
    A lower rate or a longer warm-up where it comes in the first steps; clipped gradients.

    ## References
    - Gilmer et al. 2021, A loss curvature perspective on training instability in deep learning, arXiv:2110.04369.
    - Chowdhery et al. 2022, PaLM, arXiv:2204.02311, section 5.1.
    """
    metric, losses = curve
    if len(losses) < POINTS:
        yield too_few(len(losses), "finite values of the loss", POINTS)
        return
    if sustained_rise(losses.values):
        return
    looks = [losses.thinned(LONGEST), losses.at(slice(LONGEST))]
    found = [(look, hump) for look in looks if (hump := _longest(_humps(look.values, smallest))) is not None]
    if not found:
        return
    look, hump = max(found, key=lambda each: int(each[0].steps[each[1].back] - each[0].steps[each[1].first]))
    first, back = int(look.steps[hump.first]), int(look.steps[hump.back])
    severity, reservation = _severity(run, metric, hump, first, back)
    lost = (back - first) / max(run.last_step - run.first_step, 1)
    yield Finding(
        f"{'The loss' if metric == 'loss' else metric} rose from {figure(hump.level)} to {figure(hump.highest)} (medians of a few records) in "
        f"{run.place(first, int(look.steps[hump.peak]))} and was back at {run.place(back)}: {lost:.0%} of the "
        f"run{reservation}.",
        first,
        back,
        metric,
        {"level": hump.level, "highest": hump.highest, "share": lost},
        (
            advice.lower_lr(run, first),
            advice.clip(run, first),
            f"Look at the batches from {run.place(first)} on: if other seeds rise there too, the data is the cause.",
        ),
        severity,
    )


def _humps(values: np.ndarray, smallest: float) -> list[Hump]:
    """Return every rise that came back, in order; there is none where no value lies far above one before it."""
    if (values - np.minimum.accumulate(values)).max() < LEAST_NATS:
        return []
    n, sigma = len(values), scatter(values)
    width = min(WIDEST, max(WIDTH, n // 50)) | 1
    half = width // 2
    levels = rolling_median(values, width)
    floor = np.minimum(np.minimum.accumulate(levels), float(values[0]) + LUCKY_FIRST * sigma)
    least = np.maximum(smallest * np.abs(floor), LEAST_NATS)
    if not (levels > floor + least).any():
        return []
    error = max(MEDIAN_ERROR * sigma / np.sqrt(width), lasting_scatter(levels))
    least = np.maximum(least, (ERRORS + np.sqrt(2 * np.log(n))) * error)
    above = levels > floor + least
    humps: list[Hump] = []
    after = 0
    for first in np.flatnonzero(above).tolist():
        if first < after:
            continue
        level = float(floor[first])
        highest = np.maximum.accumulate(levels[first:])
        over = np.flatnonzero(levels[first:] <= level + np.minimum(BACK * (highest - level), least[first]))
        if not len(over):
            break  # it stays up
        after = first + int(over[0])
        peak = first + int(np.argmax(levels[first:after]))
        bar = level + BACK * (levels[peak] - level)
        low = first - int(np.argmax(levels[first::-1] <= bar)) if levels[: first + 1].min() <= bar else -half
        onset = low + half + int(np.argmax(values[low + half : peak + half + 1] > bar))
        if np.count_nonzero(above[first:after]) >= LEAST_RECORDS and level > 0:
            before = min(level, float(values[0])) if level < levels[: first + 1].min() else level
            humps.append(Hump(onset, peak + half, after + half, before, float(levels[peak])))
    return humps


def _longest(humps: list[Hump]) -> Hump | None:
    return max(humps, key=lambda hump: hump.back - hump.first, default=None)


def _height(run: Run, hump: Hump, first: int, back: int) -> float:
    """Return how high the training loss stood where it was evaluated meanwhile: a short summit may lie between two evaluations."""
    trained = run["loss"].finite
    at = run.evaluation_loss[1].finite.between(first, back - 1).steps if run.evaluation_loss else np.empty(0, np.int64)
    if not len(at):
        return hump.highest - hump.level
    levels, _ = medians_around(at, trained.steps, trained.values)
    return min(hump.highest, float(quantile(levels, 0.9))) - hump.level


def _severity(run: Run, metric: str, hump: Hump, first: int, back: int) -> tuple[Severity, str]:
    """Return the severity, and the reservation that explains it."""
    if metric == "loss" and run.evaluation_loss is not None:
        losses = run.evaluation_loss[1].finite
        meanwhile = losses.between(first, back - 1).values
        before = losses.values[losses.steps < first]
        rose = float(quantile(meanwhile, 0.9)) - float(before.min()) if len(meanwhile) and len(before) else np.inf
        if rose < WENT_ALONG * _height(run, hump, first, back):
            return Severity.INFO, ", while the evaluation did not rise as much: other data, not a worse model"
    if (
        metric == "loss"
        and hump.share < HIGH
        and (dropped := dropped_before(run, run["loss"].finite, first)) is not None
    ):
        return Severity.INFO, f"; at {run.place(dropped)} it had dropped as suddenly: probably blocks of other data"
    long = (back - first) >= LONG * (run.last_step - run.first_step)
    late = first - run.first_step >= EARLY * (run.last_step - run.first_step)
    gained = float(median(run[metric].finite.values[:WIDTH])) - hump.level if metric in run else np.inf
    least = min(HIGH_NATS, LOST * gained) if gained > 0 else HIGH_NATS
    high = late and hump.share >= HIGH and hump.highest - hump.level >= least
    return (Severity.WARNING if long or high else Severity.INFO), ""
