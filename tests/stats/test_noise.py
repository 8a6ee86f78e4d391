"""Noise is measured where slope, rises, outliers and smoothing stand beside it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmdiag.stats.noise import median_difference_error, scatter, smoothing, wander, wander_throughout
from tests.rules.curves import lasting_noise


def white(n: int, sigma: float = 1.0, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, sigma, n)


@given(st.floats(0.001, 100), st.integers(0, 1000))
@settings(max_examples=50)
def test_scatter_is_the_standard_deviation_of_white_noise(sigma, seed):
    assert scatter(white(1000, sigma, seed)) == pytest.approx(sigma, rel=0.2)


def test_a_steep_smooth_curve_has_no_scatter():
    curve = 10 * np.exp(-np.arange(40) / 8)
    assert scatter(curve) < 0.1 * np.median(np.abs(np.diff(curve))[:10])


def test_outliers_do_not_add_to_the_scatter():
    spiky = white(1000, 0.1)
    spiky[::50] += 20
    assert scatter(spiky) == pytest.approx(0.1, rel=0.2)


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 2.0], [3.0] * 50])
def test_short_and_constant_curves_have_none(values):
    assert scatter(np.array(values)) == 0.0
    assert smoothing(np.array(values)) == 0.0


@pytest.mark.parametrize(("alpha", "low", "high"), [(1.0, 0.0, 0.15), (0.3, 0.35, 0.95), (0.05, 0.6, 0.95)])
def test_smoothing_tells_an_ema_from_white_noise(alpha, low, high):
    noise, smooth = white(4000), np.empty(4000)
    smooth[0] = noise[0]
    for i in range(1, 4000):
        smooth[i] = (1 - alpha) * smooth[i - 1] + alpha * noise[i]
    assert low <= smoothing(smooth) <= high


def test_one_large_rise_does_not_look_like_smoothing():
    curve = white(400, 0.05)
    curve[300:] += 4
    assert smoothing(curve) < 0.2


def test_wander_needs_eight_blocks_and_sees_slow_changes_of_level():
    steady = white(1000, 0.1)
    moving = steady + np.repeat(white(20, 0.5, 1), 50)
    assert wander(steady[:300], 50) == 0.0
    assert wander(moving, 50) > 4 * wander(steady, 50)


def test_what_lasts_is_measured_through_a_rise():
    steady, lasting = white(1000, 0.1), 0.1 * lasting_noise(1000, 10)
    risen = lasting + np.where(np.arange(1000) < 600, 0.0, 2.0)
    assert wander_throughout(lasting) > 1.5 * wander_throughout(steady)
    assert wander_throughout(risen) < 1.3 * wander_throughout(lasting)
    assert wander_throughout(lasting[:150]) == 0.0


def test_the_error_of_a_median_difference_shrinks_with_the_window():
    rng = np.random.default_rng(3)
    differences = [np.median(rng.normal(0, 1, 25)) - np.median(rng.normal(0, 1, 25)) for _ in range(2000)]
    assert median_difference_error(1.0, 0.0, 25, 25) == pytest.approx(np.std(differences), rel=0.1)


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.9])
def test_the_error_of_a_median_difference_is_that_of_smoothed_noise(kept):
    """Neighbours scatter by less than smoothed noise is large."""
    rng = np.random.default_rng(0)
    noise = np.zeros((2000, 160))
    for i in range(1, 160):
        noise[:, i] = kept * noise[:, i - 1] + rng.normal(0, 1, 2000)
    apart = np.median(noise[:, 40:70], axis=1) - np.median(noise[:, 130:], axis=1)
    neighbours = float(np.std(np.diff(noise[:, 40:], axis=1)) / np.sqrt(2))
    assert 0.9 < median_difference_error(neighbours, kept, 30, 30) / float(apart.std()) < 1.5
