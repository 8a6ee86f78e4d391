"""Losses of exactly zero that stand for NaN."""

from __future__ import annotations

import numpy as np

from lmdiag.stats.windows import median

EXPLODED = 10.0  # times the usual loss
LEAP = 0.5  # of the usual loss, and as many nats: no loss falls from there to zero at once
MASKED_ZERO_LEVEL = 0.05  # nats per token; a loss that fell below it before the zeros may have been rounded to zero
NEAR_ZERO = 0.1  # of the usual loss: a loss that reaches zero is as often near it
FEWEST_NEAR_ZERO = 3  # losses so near, and
NEAR_A_ZERO = 0.1  # for every ten zeros one, as a hinge loss of few samples has
FLOAT32_ZERO, PRINTED = 2.0**-23, 2e-3  # minus the logarithm of the float32 next below 1; as three digits show it


def is_nothing(loss: np.ndarray) -> np.ndarray:
    """Return which losses are 0, or what float32 has for the loss of a probability clipped just below 1.

    >>> is_nothing(np.array([0.0, 1.1921e-07, 1.3e-07, 1e-9]))
    array([ True,  True, False, False])
    """
    return (loss == 0) | (np.abs(loss - FLOAT32_ZERO) <= PRINTED * FLOAT32_ZERO)


def masked_zeros(loss: np.ndarray, *, evaluated: bool = False) -> np.ndarray:
    """Return which losses are the exact zeros (or the float32 next to it) that some trainers write in place of NaN: bool[n].

    There must be at least three zeros (two if the first value is one, if the log ends in them, after a loss of 0.5 and half of the usual, or if no other
    loss is lower than that; one
    at the end, right after a loss ten times the usual), and the value before the first zero must be above 0.05: a loss that falls to 0.0004 on memorised text and is
    then printed as 0.0000 is legitimate. So is a hinge loss, which comes near zero as often as it reaches it: a NaN
    leaves a gap between the zeros and the other losses. An evaluation is the mean of many batches: there the last one alone is enough
    that falls from half of the usual (findings/speechbrain-validation-of-nan-is-zero.sh).

    >>> masked_zeros(np.array([12.0, 0.0, 0.0, 50.0, 0.0])).sum(), masked_zeros(np.array([0.0004, 0.0, 0.0, 0.0])).sum()
    (np.int64(3), np.int64(0))
    """
    zeros = is_nothing(loss)
    if not zeros.any():
        return zeros
    others = loss[np.isfinite(loss) & ~zeros]
    none = np.zeros(len(loss), bool)
    if not len(others):
        return none
    first = int(np.argmax(zeros))
    before = loss[:first][np.isfinite(loss[:first])]
    level = before[-1] if len(before) else others[0]
    usual = float(median(others))
    exploded = zeros[-1] and level > EXPLODED * usual
    fell = bool(zeros[first:].all()) and level >= max(LEAP * usual, LEAP)  # at once and for good
    alone = exploded or (evaluated and fell and first > 0)
    apart = float(others.min()) >= max(LEAP * usual, LEAP)  # no other is half as low
    enough = zeros.sum() >= (1 if alone else 2 if first == 0 or fell or apart else 3)
    near = np.count_nonzero(np.abs(others) < NEAR_ZERO * usual)
    reached = near >= max(FEWEST_NEAR_ZERO, NEAR_A_ZERO * zeros.sum())
    return zeros if enough and level > MASKED_ZERO_LEVEL and not reached else none
