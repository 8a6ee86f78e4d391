"""The learning rate over the steps of a run: what was learned so far, how far it is annealed, how it will go on."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from msgspec import Struct

from lmdiag.stats.windows import distinct, remembered

MEMORY = 1000.0  # steps over which annealing takes effect: 0.999 per step in Tissue et al. 2024
KNOTS = 2000
FITS = 0.02  # of the peak: the scatter up to which a shape is taken for the schedule's own
HOLDS = 0.98
LONGEST_AGES = 300.0  # in units of the memory


class Schedule(Struct, frozen=True, eq=False, dict=True):
    """Learning rate at some steps; in between it is linear, outside it keeps its first and last value."""

    steps: np.ndarray
    rates: np.ndarray

    def learning(self, at: np.ndarray) -> np.ndarray:
        """Return S1 at some steps: the learning rate summed since step 0, in steps at the peak rate.

        >>> Schedule(np.array([0, 10]), np.array([2.0, 2.0])).learning(np.array([5.0, 20.0])).tolist()
        [5.0, 20.0]
        """
        knots, area, _ = self._until(at)
        return np.interp(at, knots, area)

    def annealed(self, at: np.ndarray) -> np.ndarray:
        """Return S2 at some steps, 0 at the peak rate and towards 1 a while after the rate has fallen to zero."""
        knots, _, levels = self._until(at)
        return np.interp(at, knots, levels)

    def _until(self, at: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return knots up to the last of some steps, and S1 and S2 there; they are asked for again and again."""
        last = max(float(np.max(at, initial=1.0)), self._last)
        if last not in self._known:
            knots, share = self._knots(last)
            area = np.concatenate([[0.0], np.cumsum(np.diff(knots) * (share[1:] + share[:-1]) / 2)])
            self._known[last] = knots, area, _annealing(knots, share)
        return self._known[last]

    @cached_property
    def _last(self) -> float:
        return float(self.steps[np.isfinite(self.rates)][-1])

    @cached_property
    def _known(self) -> dict[float, tuple[np.ndarray, np.ndarray, np.ndarray]]:
        return {}

    def _knots(self, last: float) -> tuple[np.ndarray, np.ndarray]:
        """Return steps and shares of the peak, thinned, from step 0 to `last`."""
        good = np.isfinite(self.rates)
        steps, rates = self.steps[good].astype(float), self.rates[good]
        knots = distinct(np.concatenate([[0.0], np.linspace(0.0, last, KNOTS), steps[:: len(steps) // KNOTS + 1]]))
        return knots, np.interp(knots, steps, rates / rates.max())


def _annealing(knots: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Return how far the rate is annealed at the knots, where it has these shares of its peak."""
    peak = int(np.argmax(share >= share.max() * 0.999))
    fallen = np.maximum(np.where(np.arange(len(share)) <= peak, 0.0, 1 - share / share.max()), 0.0)
    memory = min(MEMORY, (knots[-1] - knots[0]) / 10 or 1.0)
    ages = (knots - knots[0]) / memory
    gains = -np.expm1(-np.diff(ages)) * (fallen[1:] + fallen[:-1]) / 2
    levels = np.zeros(len(knots))
    for part in np.split(np.arange(1, len(knots)), np.flatnonzero(np.diff(np.floor(ages[1:] / LONGEST_AGES))) + 1):
        age = ages[part] - ages[part[0]]  # of a stretch that exp can hold
        before = levels[part[0] - 1] * np.exp(ages[part[0] - 1] - ages[part[0]])
        levels[part] = np.exp(-age) * (before + np.cumsum(gains[part - 1] * np.exp(age)))
    return levels


def constant(rate: float = 1.0) -> Schedule:
    """Return the schedule that is assumed where the log holds no learning rate."""
    return Schedule(np.array([0.0, 1.0]), np.array([rate, rate]))


@remembered
def observed(steps: np.ndarray, rates: np.ndarray) -> Schedule | None:
    """Return the schedule of the logged rates, thinned to some thousand; None where fewer than two are finite or none is positive."""
    good = np.isfinite(rates)
    if good.sum() < 2 or rates[good].max() <= 0:
        return None
    steps, rates = steps[good].astype(float), rates[good]
    kept = distinct(np.r_[np.arange(0, len(steps), len(steps) // KNOTS + 1), np.argmax(rates), len(steps) - 1])
    return Schedule(steps[kept], rates[kept])


def continued(schedule: Schedule, until: float) -> tuple[Schedule, str]:
    """Return the schedule continued to a step, and how: constant, linear or cosine, whichever fits the fall so far.

    >>> steps = np.arange(0.0, 61.0)
    >>> longer, shape = continued(Schedule(steps, 1 - steps / 100), 100)
    >>> shape, round(float(np.interp(90, longer.steps, longer.rates)), 2)
    ('linear', 0.1)
    """
    steps, rates = schedule.steps, schedule.rates / schedule.rates.max()
    if until <= steps[-1]:
        return schedule, "as logged"
    ahead = np.linspace(steps[-1], until, 200)[1:]
    from_peak = int(np.flatnonzero(rates >= 1 - 1e-9)[-1])
    if rates[-1] >= HOLDS or len(rates) - from_peak < 4:
        return _joined(schedule, ahead, np.full(len(ahead), rates[-1])), "constant"
    at, fall = steps[from_peak:], rates[from_peak:]
    shapes = {"linear": (at, ahead), "cosine": (_cosine(at, at[0], until), _cosine(ahead, at[0], until))}
    best, scatter, rest = "", FITS, np.full(len(ahead), rates[-1])
    for name, (seen, coming) in shapes.items():
        line = np.polyfit(seen, fall, 1)
        away = float(np.sqrt(np.mean((np.polyval(line, seen) - fall) ** 2)))
        if away < scatter:
            best, scatter, rest = name, away, np.clip(np.polyval(line, coming), 0.0, None)
    return _joined(schedule, ahead, rest), best or "constant"


def _cosine(steps: np.ndarray, first: float, last: float) -> np.ndarray:
    return np.asarray(np.cos(np.pi * (steps - first) / (last - first)))


def _joined(schedule: Schedule, ahead: np.ndarray, shares: np.ndarray) -> Schedule:
    peak = schedule.rates.max()
    return Schedule(np.concatenate([schedule.steps, ahead]), np.concatenate([schedule.rates, shares * peak]))
