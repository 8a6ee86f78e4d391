"""A level is told from what only passes it, as surely as the noise allows."""

import numpy as np
import pytest

from lmdiag.stats.level import level


def noisy(values: np.ndarray, noise: float, seed: int = 0) -> np.ndarray:
    return values + np.random.default_rng(seed).normal(0, noise, len(values))


def test_the_first_records_are_left_out():
    kept = level(np.r_[np.full(20, 9.0), np.full(80, 2.0)], 0.8)
    assert kept.first == 20
    assert (kept.value, kept.end, kept.gain) == pytest.approx((2.0, 2.0, 0.0))


@pytest.mark.parametrize("n", [30, 300, 3000])
def test_errors_are_those_of_repeated_draws(n):
    draws = [level(noisy(np.full(n, 2.0), 0.1, seed), 1.0) for seed in range(200)]
    for value, error in (("value", "error"), ("gain", "gain_error")):
        spread = np.std([getattr(kept, value) for kept in draws])
        assert np.median([getattr(kept, error) for kept in draws]) == pytest.approx(spread, rel=0.25)


def test_noise_that_hides_a_fall_is_not_flat():
    assert not level(noisy(np.full(30, 2.0), 0.3), 0.8).is_flat(0.02)
    assert level(noisy(np.full(3000, 2.0), 0.1), 0.8).is_flat(0.02)
    assert not level(noisy(np.linspace(2.1, 1.9, 3000), 0.1), 0.8).is_flat(0.02)


def test_a_spike_moves_the_level_by_four_deviations_at_most():
    values = noisy(np.full(100, 2.0), 0.01)
    values[50] = 500.0
    assert level(values, 0.8).value == pytest.approx(2.0, abs=0.01)


def test_a_curve_that_leaves_at_its_end_is_not_at_its_level():
    stays = noisy(np.full(200, 0.7), 0.005)
    leaves = np.r_[stays[:180], stays[180:] - 0.2]
    assert level(stays, 0.8).is_at(0.7, 0.005)
    assert not level(leaves, 0.8).is_at(0.7, 0.05)


def test_rounded_values_keep_their_level():
    staircase = np.round(np.linspace(0.75, 0.55, 300), 2)
    assert level(staircase, 0.8).value == pytest.approx(0.63, abs=0.005)
