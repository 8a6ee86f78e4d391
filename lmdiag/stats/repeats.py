"""How sure it is that a value that comes again stands still: its digits and its repeats tell, whatever the length of the log."""

from __future__ import annotations

from fractions import Fraction
from math import pi, sqrt

import numpy as np

CERTAIN = 1e-6  # healthy logs in which chance makes as many repeats
# Of a number, at the most: its error in single precision, in which losses are computed whatever is printed
SINGLE = 6e-8
STIRS = 1e-5  # of its level, at the least: by so much a loss on the same data differs from one evaluation of a model that trains to the next
FLIPS = 5e-3  # of the answers, at the least: so many are right in one of two such evaluations only, where half or more are wrong
MOST_ANSWERS = 100_000


def same_by_chance(value: float, rounding: float) -> float:
    """Return how often two evaluations of a model that trains have the same loss, to the last digit: one is normal around the other.

    >>> round(same_by_chance(0.91728465017294, 0.0), 3), same_by_chance(0.9173, 5e-5)
    (0.003, 1.0)
    """
    unit = 2 * max(rounding, SINGLE * abs(value))
    return min(1.0, unit / (2 * sqrt(pi) * STIRS * abs(value))) if value else 1.0


def same_answers_by_chance(share: float, rounding: float) -> float:
    """Return how often as many answers are right again: the share tells of how many it is one, at the least.

    >>> round(same_answers_by_chance(83 / 431, 0.0), 2), same_answers_by_chance(0.65, 0.0)
    (0.27, 1.0)
    """
    close = max(rounding, SINGLE * abs(share))
    answers = next(
        (
            found.denominator
            for most in (10, 100, 1000, 10_000, MOST_ANSWERS)
            if abs(float(found := Fraction(share).limit_denominator(most)) - share) <= close
        ),
        MOST_ANSWERS,
    )
    return min(1.0, 1 / sqrt(2 * pi * FLIPS * answers))


def stands_still(values: np.ndarray, by_chance: float) -> bool:
    """Tell whether values are all the same, and so many that chance, which repeats the last one so often, does not explain it.

    >>> stands_still(np.full(4, 0.9), 0.003), stands_still(np.full(3, 0.9), 0.003), stands_still(np.full(99, 0.9), 1.0)
    (True, False, False)
    """
    return len(values) > 1 and not np.ptp(values) > 0 and by_chance ** (len(values) - 1) <= CERTAIN
