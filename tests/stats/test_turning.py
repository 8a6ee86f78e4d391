"""A turn is found in any shape, and flat noise of any size gains little by one."""

import numpy as np
import pytest

from lmdiag.stats.turning import rises_smoothly, turn, variance_of_few


@pytest.mark.parametrize("n", [3, 6, 12, 50, 200])
def test_flat_noise_rarely_gains_more_than_34_variances(n):
    gains = [turn(np.random.default_rng(seed).normal(0, 1, n)).gain for seed in range(400)]
    assert sum(gain >= 34 for gain in gains) <= 4


@pytest.mark.parametrize("n", [12, 20, 50, 200])
def test_of_many_32_are_as_rare_in_heavy_tailed_noise(n):
    gains = [turn(np.random.default_rng(seed).standard_t(3, n)).gain / 3 for seed in range(400)]  # their variance is 3
    assert sum(gain >= 32 for gain in gains) <= 4


@pytest.mark.parametrize("n", [12, 40])
def test_one_point_does_not_make_a_turn_of_many(n):
    low, high = np.linspace(3, 2, n), np.linspace(3, 2, n)
    within = low.copy()
    low[n // 2] -= 1.5
    within[n // 2] += 1.5
    high[-1] += 1.5
    assert turn(low).gain == pytest.approx(0, abs=1e-9)
    assert turn(within).gain == pytest.approx(0, abs=1e-9)
    assert turn(high).gain < 0.01


def test_a_turn_is_found_where_it_is():
    found = turn(np.r_[np.linspace(4, 2, 21), np.linspace(2, 3, 21)[1:]])
    assert abs(found.at - 20) <= 1
    assert found.low == pytest.approx(2.0, abs=0.06)
    assert found.gain > 1


def test_the_variance_is_what_many_points_show_and_of_few_what_is_expected():
    noise = np.random.default_rng(0).normal(0, 1, 200)
    assert variance_of_few(noise, 0.01, 2.0, averaged=True) == pytest.approx(1.0, rel=0.2)
    assert variance_of_few(noise, 0.01, 2.0, averaged=False) == pytest.approx(0.8, rel=0.3)
    assert variance_of_few(noise[:2], 0.01, 2.0, averaged=False) == pytest.approx(1e-4)


@pytest.mark.parametrize("n", [45, 100, 200])
def test_wander_is_no_smooth_rise(n):
    smooth = 0
    for seed in range(200):
        noise, wander = np.random.default_rng(seed).normal(0, 1, n + 50), np.zeros(n + 50)
        for i in range(1, n + 50):
            wander[i] = 0.9 * wander[i - 1] + noise[i]
        made = wander[50:] + 20 * np.exp(-np.arange(n) / 3)
        smooth += rises_smoothly(made, turn(made))
    assert smooth <= 1
