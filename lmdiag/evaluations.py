"""Have evaluations got worse since the best of them, beyond noise and luck, and what did the training loss do meanwhile?"""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from lmdiag.run import Run, Series
from lmdiag.stats.limits import LONGEST, MOST_EVALUATIONS
from lmdiag.stats.noise import drift, median_difference_error, scatter, smoothing
from lmdiag.stats.turning import (
    SETTLED_FROM,
    Turn,
    falling_fit,
    jumped_and_stayed,
    lasting_noise,
    rises_smoothly,
    rises_straight,
    turn,
    variance_of_few,
)
from lmdiag.stats.windows import median

AWAY, UNTIL, LAST = 0.3, 5, 20  # of the level before a jump; evaluations until the turn, and at the end
AFTER = 2  # evaluations after the best one; logs of one evaluation per epoch have no more
STEADY = 3  # evaluations that each are worse than the one before: then the last of them counts, and not their mean
# Variances by which a fit that rises again is better: one in 200 sequences of flat noise, of 3 to 11 points and of more, whose median of three is taken.
GAIN, GAIN_OF_MANY = 34.0, 32.0
# Up to so many evaluations, those before the best one tell nothing of the noise, or the last of them alone: they fall steeply. Of more, five do.
FEW, SOME, BEFORE_BEST = 6, 12, 5
# What one evaluation scatters by, as a share of its level, and how many second differences that is worth: where the training loss went on
# falling since the best one, which speaks for overfitting; and where nothing does, when evaluations of a few batches are possible.
EXPECTED, UNKNOWN = (0.007, 2.0), (0.06, 3.0)
LIKE_ANOTHER = 2.0  # one set may scatter so many times as much as another: it may hold fewer texts
SCORE_SIGMAS = 2.0  # by which the mean of the last three or more must be down as well
# By which a score that wanders goes beyond what its second differences show: flat ones with a correlation of neighbours up to 0.7 then fall in one
# of 200 series of 6 to 100 points. And the answers of which the chance is the least that it scatters by.
WANDERS, OF_ANSWERS = 3.0, 2_500
HARDLY_RIGHT = 0.1  # nine answers in ten are wrong: what is lost of the last one is luck
WENT_ON, WENT_ON_ERRORS = 0.1, 3.0  # by which it must have fallen, and in standard errors
AS_MUCH = 0.5  # of the evaluation's rise, in shares: what raises the training loss so far is not learned by heart
MEMORISED_RISE, MEMORISED = 0.10, 0.5
WELL_ABOVE = 0.2  # of up to twelve evaluations: the mean of those since the best, beside a training loss of half of it
# In the second half; of the swings of the loss, relative to its level: what a model does shows in them too
BESIDE, CALM = 6, 0.2
# The last of fewer than six evaluations, alone: its rise, also in standard deviations of a training record (an evaluation scatters less)
JUMP, JUMP_SIGMAS, JUMP_RECORDS = 0.25, 8.0, 20


class Rise(Struct, frozen=True):
    """A rise of the evaluations since the best of them: from which level, by how much, and in how many standard errors."""

    low: float
    rise: float
    errors: float = 0.0

    @property
    def share(self) -> float:
        return self.rise / max(self.low, 1e-300)


class Since(Struct, frozen=True):
    """The level of the training loss before and after a step, and the losses of which `width` tell each of the two."""

    before: float
    after: float
    width: int
    losses: np.ndarray

    def is_clear(self, change: float) -> bool:
        """Tell whether a change from one level to the other is clearly more than the error of their difference."""
        if len(self.losses) <= SOME:  # of which the slope would pass for noise
            return change >= 0
        error = median_difference_error(scatter(self.losses), smoothing(self.losses), self.width, self.width)
        return change >= WENT_ON_ERRORS * error


def risen(run: Run, losses: Series, smallest: float, beside: float | None = None, sets: int = 1) -> Rise | None:
    """Return the rise since the best evaluations that is more than noise and luck, None where there is none.

    `beside` is what an evaluation of another set scatters by, as a share of its level, where there is one: it stands for what is expected. Of several
    `sets` one rises by chance sooner.
    """
    losses = losses.thinned(MOST_EVALUATIONS)
    values, best = losses.values, int(np.argmin(losses.values))
    lowest, after = float(values[best]), values[best + 1 :]
    if len(after) < AFTER:
        rise = float(np.mean(after)) - lowest if len(after) else 0.0
        return Rise(lowest, rise) if _memorised(run, lowest, rise) or _jumped(run, losses, best, rise) else None
    found = turn(values)
    went_on = _went_on(run, int(losses.steps[best]))
    if len(values) <= SOME:
        first = best if went_on and len(values) <= FEW else best - 1
    else:
        first = min(best - BEFORE_BEST, len(values) // 2)
    if went_on or beside is not None:
        expected, weight = max(EXPECTED[0], LIKE_ANOTHER * (beside or 0.0)), EXPECTED[1]
    else:
        expected, weight = UNKNOWN if len(values) <= SOME else (UNKNOWN[0], 1.0)
    sigma = float(np.sqrt(variance_of_few(values[max(first, 0) :], expected * lowest, weight, averaged=went_on)))
    steady = len(after) >= STEADY and bool((np.diff(values[best:]) > 0).all())
    smooth = rises_smoothly(values, found)
    tail = after[-1:] if steady or smooth else after[-max(3, len(after) // 5) :]
    rise = float(np.mean(tail)) - found.low
    if not smooth and not _stays_away(values, found, rise):
        lasting = lasting_noise(values, found) if len(values) > SOME else 1.0
        sigma = max(lasting * sigma, drift(values[max(first, 0) :]))
    if rise < smallest * found.low:
        return None
    enough = _enough(len(values), sets)
    if found.gain < enough * sigma**2:
        return _of_few(run, values, lowest, after) if len(values) <= SOME else None
    return Rise(found.low, rise, rise / sigma)


def _enough(points: int, sets: int) -> float:
    return (GAIN if points < SETTLED_FROM else GAIN_OF_MANY) * (1 + 0.5 * float(np.log(sets)))


def _of_few(run: Run, values: np.ndarray, lowest: float, after: np.ndarray) -> Rise | None:
    """Return the rise of a few evaluations that jumped and stayed up, that rose evenly, or that the training loss explains."""
    even = rises_straight(values)
    if even is not None and values[-1] - lowest >= MEMORISED_RISE * lowest:
        rise = float(values[-1]) - lowest
        return Rise(lowest, rise, rise / max(even, EXPECTED[0] * lowest))
    stayed = jumped_and_stayed(values, EXPECTED[0] * lowest)
    if stayed is not None:
        low, sigma = stayed
        rise = float(np.mean(after[-3:])) - low
        if rise >= MEMORISED_RISE * low:
            return Rise(low, rise, rise / sigma)
    rise = float(np.mean(after)) - lowest
    return Rise(lowest, rise) if _memorised(run, lowest, rise, WELL_ABOVE) else None


def fallen(scores: Series, smallest: float, sets: int = 1) -> Rise | None:
    """Return the fall of scores since the best of them, of which higher is better, as a rise below 0; None where it is noise, luck, or small.

    Of several `sets` of scores one falls by chance sooner.
    """
    scores = scores.thinned(MOST_EVALUATIONS)
    values, best = scores.values, int(np.argmax(scores.values))
    if len(values) < FEW or len(values) - best <= AFTER or values[best] <= 0:
        return None
    found = turn(-values)
    level = -found.low
    unit = 1.0 if values[best] <= 1 else 100.0
    if level < HARDLY_RIGHT * unit:
        return None
    first = 0 if len(values) <= SOME else max(min(best - BEFORE_BEST, len(values) // 2), 0)
    shown = float(np.sqrt(variance_of_few(values[first:], 0.0, 0.0, averaged=True)))
    luck = unit * float(np.sqrt(level / unit * max(1 - level / unit, 0.0) / OF_ANSWERS))
    wanders = max(WANDERS, lasting_noise(-values, found)) if len(values) > SOME else WANDERS
    sigma = max(wanders * shown, luck, drift(values[first:]))
    drop = level - float(np.mean(values[-max(3, (len(values) - best) // 5) :]))
    enough = _enough(len(values), sets)
    if drop < max(smallest * level, SCORE_SIGMAS * sigma) or found.gain < enough * sigma**2:
        return None
    return Rise(level, -drop, drop / sigma)


def _jumped(run: Run, losses: Series, best: int, rise: float) -> bool:
    """Tell whether the last of a few evaluations stands so far above the best that the noise of the training loss, which did not rise, is no reason."""
    trained = run["loss"].finite if "loss" in run else losses.at(slice(0))
    lowest, since = float(losses.values[best]), trained.values[trained.steps > losses.steps[best]]
    if (
        len(losses) >= FEW
        or len(since) < AFTER
        or len(trained) < JUMP_RECORDS
        or trained.values.min() <= 0
        or rise < JUMP * lowest
    ):
        return False
    logs = np.log(trained.values)
    # Averaged noise changes less from record to record than it is large
    noise = scatter(logs) / np.sqrt(1 - smoothing(logs))
    return bool(np.log1p(rise / lowest) >= JUMP_SIGMAS * noise) and not training_rose(
        run, int(losses.steps[best]), rise / lowest
    )


def _stays_away(values: np.ndarray, found: Turn, rise: float) -> bool:
    """Tell whether the loss jumped and did not come back: the correlation that a jump leaves in a curve is no wander."""
    before = values[max(found.at - UNTIL, 0) : found.at + 1]
    return len(values) - found.at > LAST and rise >= AWAY * found.low and bool((values[-LAST:] > before.max()).all())


def _went_on(run: Run, step: int) -> bool:
    """Tell whether the training loss has clearly fallen since a step: what rises meanwhile is not likely to be noise."""
    since = _training_since(run, step)
    if since is None:
        return False
    fall = since.before - since.after
    return fall >= WENT_ON * since.before and since.is_clear(fall)


def training_rose(run: Run, step: int, share: float) -> float:
    """Return by which share the training loss has clearly risen since a step, 0 where that is not as much as half of a share."""
    since = _training_since(run, step)
    if since is None or since.before <= 0 or len(since.losses) <= SOME:
        return 0.0
    rise = since.after - since.before
    enough = rise >= AS_MUCH * share * since.before and since.is_clear(rise)
    return rise / since.before if enough else 0.0


def _training_since(run: Run, step: int) -> Since | None:
    if "loss" not in run:
        return None
    losses = run["loss"].finite
    before, after = losses.values[losses.steps <= step], losses.values[losses.steps > step]
    if len(before) < 1 or len(after) < 2:
        return None
    width = max(1, min(len(before), len(after)) // 3)
    return Since(float(median(before[-width:])), float(median(after[-width:])), width, losses.values)


def _memorised(run: Run, lowest: float, rise: float, least: float = MEMORISED_RISE) -> bool:
    """Tell whether the evaluation is a tenth worse, or as much as asked for, while the training loss is less than half of it: one
    evaluation shows that."""
    losses = run["loss"].finite.values if "loss" in run else np.empty(0)
    return rise >= least * lowest and len(losses) >= 3 and float(median(losses[-3:])) <= MEMORISED * lowest


def steady_beside(run: Run, metric: str, steps: np.ndarray, swings: float) -> bool:
    """Tell whether the evaluations do not share the swings of a training loss, given in its level, which they may exceed: then its batches differ, not the model."""
    if metric != "loss" or run.evaluation_loss is None:
        return False
    late = run.evaluation_loss[1].finite.between(int(steps[len(steps) // 2]), int(steps[-1])).thinned(LONGEST).values
    if len(late) < BESIDE:
        return False
    around = late - falling_fit(late)
    return float(np.sqrt(np.mean(around**2))) < CALM * min(swings, 1.0) * abs(float(median(late)))
