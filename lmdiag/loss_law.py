"""The law a training loss follows when nothing is wrong: a power law of the learning done, less what annealing buys.

    L(t) = floor + amplitude * (S1(t) + offset)^-exponent - annealing * S2(t)

S1 is the sum of the learning rate in units of its peak, S2 the fall of the rate since its peak, smoothed over a
thousand steps (Tissue, Wang & Wang 2024, arXiv:2408.11029, equation 1, with S2 divided by its largest value). Without a learning rate
S1 is the step and S2 is zero. What the law leaves over are the residuals that tests for drift and change look at.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from msgspec import Struct

from lmdiag.stats.noise import MAD_TO_SIGMA, smoothing
from lmdiag.stats.schedule import Schedule, constant
from lmdiag.stats.windows import median, remembered

MOST_BINS = 120
FEWEST_POINTS, FEWEST_BINS = 24, 12
SKIPPED_START = 0.02  # share of the learning done by which the steep start, no power law, is over
EXPONENTS = np.array([0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 1.3, 1.7])
OFFSETS = np.array([0.0, 0.01, 0.05, 0.2])  # in units of the learning done
HUBER = 1.345  # standard deviations; 95% efficient on normal noise
ROUNDS = 3
ANNEALING_PRIOR = 0.10  # of the level: one standard deviation of what annealing to zero may buy, before any data
USUAL_SCATTER = 0.02  # of the level, one point: how much data it takes to overrule the prior


class Law(Struct, frozen=True, eq=False, dict=True):
    """A fitted law of the loss, in nats (or the unit of the loss) and steps.

    `unit` is the learning done at the end of the fit; `steps` and `losses` are the points that it was fitted to.
    """

    floor: float
    amplitude: float
    exponent: float
    offset: float
    annealing: float
    schedule: Schedule
    unit: float
    steps: np.ndarray
    losses: np.ndarray

    def at(self, steps: np.ndarray) -> np.ndarray:
        """Return the loss the law gives at some steps: float64[n]."""
        done = np.maximum(self.schedule.learning(steps) / self.unit, 1e-9) + self.offset
        return self.floor + self.amplitude * done**-self.exponent - self.annealing * self.schedule.annealed(steps)

    def residuals(self, steps: np.ndarray, losses: np.ndarray) -> np.ndarray:
        """Return by which share of the law each loss stands above it: float64[n]."""
        level = np.maximum(self.at(steps), 1e-12)
        return losses / level - 1

    def newest(self, steps: np.ndarray, losses: np.ndarray) -> float:
        """Return by which share of the law the newest tenth of the losses stands above it (median)."""
        return float(median(self.residuals(steps, losses)[-max(5, len(losses) // 10) :]))

    @cached_property
    def scatter(self) -> float:
        """The robust standard deviation of one point around the law, as a share of its level."""
        return MAD_TO_SIGMA * float(median(np.abs(self._left - median(self._left))))

    @cached_property
    def correlated(self) -> float:
        """How strongly neighbouring residuals resemble each other: 0 white, towards 1."""
        return _correlation(self._left)

    @cached_property
    def _left(self) -> np.ndarray:
        return self.residuals(self.steps, self.losses)


class _Binned(Struct, frozen=True, eq=False):
    """A curve as the fit sees it, one value per bin: learning done in units of its end, annealing, loss, points."""

    done: np.ndarray
    annealed: np.ndarray
    loss: np.ndarray
    counts: np.ndarray

    @property
    def weights(self) -> np.ndarray:
        return np.sqrt(self.counts) / self.loss


@remembered
def fit(steps: np.ndarray, losses: np.ndarray, schedule: Schedule | None = None) -> Law | None:
    """Fit the law to a curve of finite losses: steps int64[n], losses float64[n].

    Robust least squares (Huber) on at most 120 bins, over a grid of exponents and offsets. None with fewer than 24 points, for losses that
    are not positive, and where no falling law fits.

    >>> at = np.arange(1, 2001)
    >>> law = fit(at, 2 + 6 * (at / 100) ** -0.5)
    >>> round(float(law.at(np.array([4000]))[0]), 2)
    2.95
    """
    schedule = schedule or constant()
    used = _fitted_part(steps, schedule)
    if used.sum() < FEWEST_POINTS or (losses[used] <= 0).any():
        return None
    steps, losses = steps[used], losses[used]
    binned = _bins(steps, losses, schedule)
    solved = _solve(binned) if len(binned.loss) >= FEWEST_BINS else None
    if solved is None:
        return None
    return Law(*solved, schedule, float(schedule.learning(steps)[-1]), steps, losses)


def unexplained(steps: np.ndarray, losses: np.ndarray, schedule: Schedule | None) -> np.ndarray:
    """Return what the law of a curve leaves over, as a share of the law: float64[n].

    Where no law fits, the share by which each loss stands above the median.

    >>> at = np.arange(1, 2001)
    >>> float(np.abs(unexplained(at, 2 + 6 * (at / 100) ** -0.5, None)[200:]).max()) < 0.02
    True
    """
    law = fit(steps, losses, schedule)
    return law.residuals(steps, losses) if law else losses / float(median(losses)) - 1


def bootstrap(
    law: Law, steps: np.ndarray, losses: np.ndarray, at: np.ndarray, schedule: Schedule, draws: int = 200, seed: int = 0
) -> np.ndarray:
    """Return the losses at some steps under laws refitted to resampled residuals: float64[draws, len(at)].

    Blocks of neighbouring residuals of the fit are drawn with replacement (Künsch 1989), so that slow wander counts as what
    it is. `schedule` holds the learning rate up to the last of `at`.
    """
    used = _fitted_part(steps, law.schedule)
    binned = _bins(steps[used], losses[used], law.schedule)
    weights = binned.weights
    middle = law.floor + law.amplitude * (binned.done + law.offset) ** -law.exponent - law.annealing * binned.annealed
    noise = _blocks((binned.loss - middle) * weights, law.correlated, draws, np.random.default_rng(seed))
    terms, scale, exponents, offsets = _grid(binned)
    found, cost = _linear_many(terms, weights, weights[:, None] * middle[:, None] + noise.T, float(binned.loss[-1]))
    cost[(found[:, 0] < 0) | (found[:, 1] <= 0)] = np.inf
    best = np.argmin(cost, axis=0)
    good = np.isfinite(cost[best, np.arange(draws)])
    chosen, best = found[best, :, np.arange(draws)][good], best[good]
    done = np.maximum(schedule.learning(at) / law.unit, 1e-9)
    powers = (done[None, :] + offsets[best, None]) ** -exponents[best, None] / scale[best]
    return np.asarray(chosen[:, :1] + chosen[:, 1:2] * powers - chosen[:, 2:] * schedule.annealed(at)[None, :])


def _fitted_part(steps: np.ndarray, schedule: Schedule) -> np.ndarray:
    """Return which points the fit looks at: all but the steep start, which follows no power law."""
    if len(steps) < FEWEST_POINTS:
        return np.zeros(len(steps), bool)
    done = schedule.learning(steps)
    return (done >= SKIPPED_START * done[-1]) & (done > 0)


def _correlation(residuals: np.ndarray) -> float:
    """Return how alike neighbouring residuals are: the larger of their own correlation and that of their differences."""
    limit = 4 * MAD_TO_SIGMA * float(median(np.abs(residuals))) or 1.0
    clipped = np.clip(residuals, -limit, limit)
    clipped = clipped - clipped.mean()
    power = float(clipped @ clipped)
    lag = float(clipped[1:] @ clipped[:-1]) / power if power > 0 else 0.0
    return float(np.clip(max(lag, smoothing(residuals)), 0.0, 0.95))


def _bins(steps: np.ndarray, losses: np.ndarray, schedule: Schedule) -> _Binned:
    """Return medians over bins of the square root of the learning done, half-way between linear and logarithmic bins."""
    done, annealed = schedule.learning(steps), schedule.annealed(steps)
    done = done / done[-1]
    axis = np.sqrt(done)
    place = np.minimum(((axis - axis[0]) / max(axis[-1] - axis[0], 1e-12) * MOST_BINS).astype(int), MOST_BINS - 1)
    starts = np.flatnonzero(np.diff(place, prepend=-1))
    counts = np.diff(np.append(starts, len(done))).astype(float)
    ordered = losses[np.lexsort((losses, place))]
    below, above = starts + (counts.astype(int) - 1) // 2, starts + counts.astype(int) // 2
    middle = 0.5 * (ordered[below] + ordered[above])
    return _Binned(np.add.reduceat(done, starts) / counts, np.add.reduceat(annealed, starts) / counts, middle, counts)


def _grid(binned: _Binned) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the terms of every law of the grid (float64[laws, 3, bins]), their scales, exponents and offsets."""
    exponents, offsets = (grid.ravel() for grid in np.meshgrid(EXPONENTS, OFFSETS))
    powers = (binned.done[None, :] + offsets[:, None]) ** -exponents[:, None]
    scale = powers[:, -1:]
    terms = [np.ones_like(powers), powers / scale, np.broadcast_to(-binned.annealed, powers.shape)]
    return np.stack(terms, axis=1), scale, exponents, offsets


def _solve(binned: _Binned) -> tuple[float, float, float, float, float] | None:
    """Return (floor, amplitude, exponent, offset, annealing) of the best law on the grid."""
    terms, scale, exponents, offsets = _grid(binned)
    weights, robust = binned.weights, np.ones((len(terms), 1))
    for _ in range(ROUNDS):
        found = _linear(terms, binned.loss, weights * np.sqrt(robust))
        away = np.abs((found[:, None] @ terms)[:, 0] - binned.loss) * weights
        sigma = np.maximum(MAD_TO_SIGMA * median(away)[:, None], 1e-12)
        robust = HUBER * sigma / np.maximum(away, HUBER * sigma)
    away /= sigma.min()  # one scale for all: the laws are compared with each other
    cost = np.where(away <= HUBER, away**2, 2 * HUBER * away - HUBER**2).sum(axis=1)
    cost[(found[:, 0] < 0) | (found[:, 1] <= 0)] = np.inf
    best = int(np.argmin(cost))
    if not np.isfinite(cost[best]):
        return None
    floor, amplitude, annealing = found[best].tolist()
    return floor, amplitude / float(scale[best, 0]), float(exponents[best]), float(offsets[best]), annealing


def _normal(terms: np.ndarray, last: float) -> np.ndarray:
    """Return the matrices of the normal equations of weighted terms, with the prior on what annealing buys."""
    gram = terms @ np.swapaxes(terms, 1, 2)
    gram[:, 2, 2] += (USUAL_SCATTER / ANNEALING_PRIOR / last) ** 2
    return np.asarray(gram + 1e-12 * np.trace(gram, axis1=1, axis2=2)[:, None, None] * np.eye(3))


def _linear(terms: np.ndarray, loss: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Solve the weighted least squares of every law of the grid; an annealing gain below zero is set to zero."""
    weighted = terms * weights[:, None]
    gram = _normal(weighted, float(loss[-1]))
    right = weighted @ (weights * loss)[:, :, None]
    found = np.linalg.solve(gram, right)[:, :, 0]
    plain = np.linalg.solve(gram[:, :2, :2], right[:, :2])[:, :, 0]
    plain = np.concatenate([plain, np.zeros((len(plain), 1))], axis=1)
    return np.where(found[:, 2:] < 0, plain, found)


def _linear_many(
    terms: np.ndarray, weights: np.ndarray, targets: np.ndarray, last: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return solutions float64[laws, 3, draws] and costs [laws, draws] for many weighted targets [bins, draws] at once."""
    weighted = terms * weights
    gram = _normal(weighted, last)
    right = weighted @ targets
    found = np.linalg.solve(gram, right)
    plain = np.concatenate([np.linalg.solve(gram[:, :2, :2], right[:, :2]), np.zeros_like(right[:, :1])], axis=1)
    found = np.where(found[:, 2:] < 0, plain, found)
    return found, ((np.swapaxes(weighted, 1, 2) @ found - targets) ** 2).sum(axis=1)


def _blocks(values: np.ndarray, correlated: float, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Return resampled values, float64[draws, n]: blocks of neighbours with random signs, long enough for their correlation."""
    n = len(values)
    length = int(np.clip(np.ceil(1 / (1 - correlated)), 2, max(2, n // 6)))
    limit = 4 * MAD_TO_SIGMA * float(median(np.abs(values)))
    values = np.clip(values, -limit, limit) if limit > 0 else values
    starts = rng.integers(0, n - length + 1, (draws, n // length + 1))
    signs = rng.choice([-1.0, 1.0], starts.shape)
    picked = values[starts[:, :, None] + np.arange(length)] * signs[:, :, None]
    return np.asarray(picked.reshape(draws, -1)[:, :n])
