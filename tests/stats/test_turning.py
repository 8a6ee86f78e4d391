"""A turn is found in any shape, and flat noise of any size gains little by one."""

import numpy as np
import pytest

from lmdiag.stats.turning import jumped_and_stayed, lasting_noise, rises_smoothly, rises_straight, turn, variance_of_few


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


def test_a_few_points_that_jumped_and_stayed_up():
    low, sigma = jumped_and_stayed(np.array([0.68, 0.62, 0.48, 0.49, 0.45, 0.6, 0.63, 0.6, 0.65]), 0.003)
    assert low == pytest.approx(0.4733, abs=1e-3)
    assert 0.02 < sigma < 0.03


@pytest.mark.parametrize(
    "values",
    [
        [0.68, 0.62, 0.48, 0.49, 0.45, 0.6, 0.63, 0.6],  # too few since
        [0.68, 0.62, 0.45, 0.6, 0.63, 0.6, 0.65],  # one that was low by luck
        [0.68, 0.62, 0.48, 0.49, 0.45, 0.6, 0.47, 0.6, 0.65],  # came back
        [0.68, 0.52, 0.48, 0.49, 0.45, 0.6, 0.9, 0.6, 0.65],  # noise
    ],
)
def test_points_that_did_not_jump_and_stay(values):
    assert jumped_and_stayed(np.array(values), 0.003) is None


@pytest.mark.parametrize("noise", [0.02, 0.06, 0.1])
def test_noise_does_not_jump_and_stay(noise):
    rng = np.random.default_rng(0)
    found = 0
    for n in rng.integers(7, 13, 4000):
        fall = 1 + rng.choice([0, 0.5, 1.5]) * np.exp(-np.arange(n) / rng.uniform(0.3, 3))
        found += jumped_and_stayed(fall * (1 + rng.normal(0, noise, n)), 0.007) is not None
    assert found <= 2


@pytest.mark.parametrize(
    ("since", "found"),
    [
        ([3.1, 3.25, 3.45, 3.7], True),
        ([3.1, 3.25, 3.45], False),  # too few
        ([3.1, 3.08, 3.45, 3.7], False),  # a break
        ([3.05, 3.4, 3.45, 3.7], False),  # noise
    ],
)
def test_a_few_points_that_rise_evenly(since, found):
    assert (rises_straight(np.array([5.3, 3.8, 3.2, 3.0, *since])) is not None) == found


@pytest.mark.parametrize("noise", [0.02, 0.06, 0.1])
def test_noise_does_not_rise_evenly(noise):
    rng = np.random.default_rng(0)
    found = 0
    for n in rng.integers(5, 13, 4000):
        made = (1 + rng.choice([0, 0.5, 1.5]) * np.exp(-np.arange(n) / rng.uniform(0.3, 3))) * np.exp(
            rng.normal(0, noise, n)
        )
        found += rises_straight(made) is not None and made[-1] >= 1.1 * made.min()
    assert found <= 2


@pytest.mark.parametrize(("kept", "least", "most"), [(0.0, 1.0, 1.2), (0.5, 1.4, 3.0), (0.8, 2.0, 8.0)])
def test_noise_that_lasts_counts_for_more_than_its_second_differences_show(kept, least, most):
    enlarged = []
    for seed in range(60):
        noise = np.random.default_rng(seed).normal(0, 1, 60)
        for i in range(1, 60):
            noise[i] = kept * noise[i - 1] + np.sqrt(1 - kept**2) * noise[i]
        enlarged.append(lasting_noise(noise, turn(noise)))
    assert least <= np.median(enlarged) <= most


def test_a_steady_rise_is_no_noise_that_lasts():
    noise = np.random.default_rng(0).normal(0, 0.01, 60)
    rise = np.r_[np.linspace(3, 2, 30), np.linspace(2, 2.5, 30)] + noise
    assert lasting_noise(rise, turn(rise)) < 1.2
