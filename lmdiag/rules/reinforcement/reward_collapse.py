from __future__ import annotations

import numpy as np

from lmdiag import advice
from lmdiag.figures import figure
from lmdiag.finding import Finding, Findings, Severity, rule, too_few
from lmdiag.run import Run, Series
from lmdiag.stats.course import Course, course, first_lasting
from lmdiag.stats.noise import median_difference_error, scatter, smoothing
from lmdiag.stats.windows import median

LOST = 0.5  # of what was gained
SIGMAS = 6.0  # standard errors: the highest of many windows is high by luck
STEADY, TREND = 3.0, -4.0  # standard errors and Mann-Kendall z of a fall from the first records on, which is no luck
OF_CHANGES = 0.886  # standard deviation over the mean change to the next record, of normal noise: sqrt(pi) / 2
BACK = 0.1  # of the last records: where more are as high as the highest level, it is not lost
LEAST = 0.3  # of the highest level: smaller falls are no collapse
MOST = 0.5  # of the rise from the start: a smaller fall that takes that much of it back
LATE = 0.6  # of the highest level: a fall that is too young to be the level at the end
AT_LEAST, YOUNG = 3, 0.04  # records, and share of them


@rule(family="reinforcement", needs=("reward",), severity=Severity.ERROR, min_points=10)
def check(run: Run, rewards: Series, *, lost: float = LOST, most: float = MOST) -> Findings:
    """Reward falls far below its earlier level and stays there.

    ## What it looks for
    A policy that had learned, or could do at the start, what it cannot do any more.

    ## How it decides
    The median of the last fifth of the rewards lies below the highest rolling median (a tenth of the records) by six standard errors, by
    two standard deviations of a record, and by three tenths of that level or of the spread of the rewards. Three standard errors below the first records
    are enough where the rewards fall all along (Mann-Kendall z below -4). At least `lost` of the rise from
    the lowest earlier level is gone, or the end lies below the start. An error.

    A smaller fall is a warning where the first tenth of the records lies below the highest level by six standard errors too, and the fall is `most` of that
    rise: as much of what training gained is lost as an error asks for.

    A fall shortly before the end counts where it is large: the last twenty-fifth of the records, three at least, are all lower than every record of the half
    before the last fifth, and their median lies below the highest level by six standard errors and by six tenths of it or of the spread.

    ## Why it matters
    After a collapse the responses that would earn a reward are not sampled any more, so that the policy does not find back.

    ## False alarms it avoids
    Dips that come back, noise of small batches, the slow loss of a few percent; a level that more than a tenth of the records of the last fifth reach again.

    ## What to try
    Resume from before the fall with a lower rate or a larger KL coefficient; look at what the policy wrote when it began.

    ## References
    - Gao et al. 2022, Scaling laws for reward model overoptimization, arXiv:2210.10760.
    - Schulman et al. 2017, Proximal policy optimization algorithms, arXiv:1707.06347.
    """
    values = rewards.values
    if len(values) < 10:
        yield too_few(len(values), "finite rewards", 10)
        return
    moved = course(values)
    fall = moved.high - moved.end
    least = LEAST * max(abs(moved.high), float(np.ptp(values)) / 2)
    sigma, error = _noise(values, moved)
    steady = moved.trend < TREND and -moved.gain >= STEADY * error
    sure = fall > 0 and fall >= max(0.0 if steady else SIGMAS * error, 2 * sigma) and not _back(values, moved)
    large = fall >= least and _lost(values, moved, fall, lost)
    gained = moved.high - moved.start
    if not sure or not (large or (gained >= SIGMAS * error and fall >= most * gained)):
        yield from _young(run, rewards, moved)
        return
    top = moved.high_at
    onset = top + first_lasting(values[top:] < moved.high - 0.5 * fall) if top < len(values) else top
    step, best = int(rewards.steps[min(onset, len(values) - 1)]), int(rewards.steps[min(top, len(values) - 1)])
    yield Finding(
        f"The reward fell from {figure(moved.high, 3)} around {run.place(best)} to {figure(moved.end, 3)}, half of the way by "
        f"{run.place(step)}, and stays there; it began at {figure(moved.start, 3)}.",
        step,
        int(rewards.steps[-1]),
        "reward",
        {"start": moved.start, "highest": moved.high, "end": moved.end, **_at(run, step)},
        _advice(run, step, best, int(rewards.steps[-1])),
        Severity.ERROR if large else Severity.WARNING,
    )


def _noise(values: np.ndarray, moved: Course) -> tuple[float, float]:
    """Return the standard deviation of a record and the error of a fall: rewards of a few values that repeat scatter more than their median change."""
    sigma = max(scatter(values), OF_CHANGES * float(np.abs(np.diff(values)).mean()))
    first, last = min(max(3, len(values) // 10), 20), max(3, len(values) // 5)
    return sigma, max(moved.error, median_difference_error(sigma, smoothing(values), first, last))


def _back(values: np.ndarray, moved: Course) -> bool:
    """Tell whether the last records reach the highest level again, which a few of them do by chance."""
    last = values[-max(3, len(values) // 5) :]
    return float((last >= moved.high).mean()) > BACK


def _young(run: Run, rewards: Series, moved: Course) -> Findings:
    """Tell of a large fall in the last records."""
    values, count = rewards.values, max(AT_LEAST, int(YOUNG * len(rewards)))
    tail, before = values[-count:], values[: -max(count, len(values) // 5)]
    last = float(median(tail))
    fall = moved.high - last
    least = LATE * max(abs(moved.high), float(np.ptp(values)) / 2)
    if fall < least or tail.max() >= before[-len(values) // 2 :].min():
        return
    error = median_difference_error(scatter(values), smoothing(values), count, max(3, len(values) // 10))
    if fall < SIGMAS * error:
        return
    top = min(moved.high_at, len(values) - count)
    onset = top + first_lasting(values[top:] < moved.high - 0.5 * fall)
    step, best = int(rewards.steps[min(onset, len(values) - count)]), int(rewards.steps[top])
    yield Finding(
        f"The reward fell from {figure(moved.high, 3)} around {run.place(best)} to {figure(last, 3)} (median of the last {count:,} records), half of the "
        f"way by {run.place(step)}; it began at {figure(moved.start, 3)}.",
        step,
        int(rewards.steps[-1]),
        "reward",
        {"start": moved.start, "highest": moved.high, "last": last, **_at(run, step)},
        _advice(run, step, best, int(rewards.steps[-1])),
    )


def _advice(run: Run, step: int, best: int, last: int) -> tuple[str, ...]:
    return (
        advice.rewind(run, step),
        advice.lower_lr(run, step),
        advice.raise_kl(run, run.last_step, 2),
        f"Read responses of {run.place(best)} and of {run.place(last)} side by side.",
    )


def _lost(values: np.ndarray, moved: Course, fall: float, share: float) -> bool:
    """Tell whether the end gave up a large part of what had been gained, or is below where the run began."""
    before = values[: moved.high_at + 1]
    lowest = min(moved.start, float(np.min(before))) if len(before) else moved.start
    gained = moved.high - max(moved.start, lowest)
    return fall >= share * gained or moved.end < moved.start


def _at(run: Run, step: int) -> dict[str, float]:
    found = {name: run.value_at(name, step) for name in ("kl", "sequence_kl", "entropy", "response_length", "lr")}
    return {name: value for name, value in found.items() if value is not None and np.isfinite(value)}
