"""Trend tests agree with their definitions and with scipy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lmdiag.stats.trend import MOST_POINTS, mann_kendall, theil_sen, total_gain

VALUES = st.lists(st.integers(-50, 50).map(float), min_size=4, max_size=60)


@given(VALUES)
@settings(max_examples=80)
def test_mann_kendall_has_the_sign_of_kendalls_tau(values):
    tau = stats.kendalltau(range(len(values)), values).statistic
    z = mann_kendall(np.array(values))
    assert z == 0 or np.sign(z) == np.sign(tau)
    assert mann_kendall(-np.array(values)) == pytest.approx(-z)


@given(VALUES)
@settings(max_examples=80)
def test_theil_sen_slope_is_scipys(values):
    assert theil_sen(np.array(values))[0] == pytest.approx(stats.theilslopes(values).slope)


def test_white_noise_has_a_standard_normal_rank_trend():
    rng = np.random.default_rng(0)
    scores = [mann_kendall(rng.normal(size=50)) for _ in range(400)]
    assert np.std(scores) == pytest.approx(1, abs=0.1)
    assert np.mean(np.abs(scores) > 1.96) == pytest.approx(0.05, abs=0.03)


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 2.0, 3.0], [5.0] * 30])
def test_short_and_constant_curves_have_no_trend(values):
    assert mann_kendall(np.array(values)) == 0.0


def test_the_slope_error_covers_the_truth():
    rng = np.random.default_rng(1)
    fits = [theil_sen(0.1 * np.arange(30) + rng.normal(0, 1, 30)) for _ in range(300)]
    covered = np.mean([abs(slope - 0.1) <= 1.96 * error for slope, error in fits])
    assert 0.88 <= covered <= 0.99


def test_long_curves_are_judged_by_block_medians():
    rising = np.linspace(0, 1, 50 * MOST_POINTS)
    assert mann_kendall(rising) > 10
    assert theil_sen(rising)[0] == pytest.approx(1 / len(rising), rel=0.01)


def test_total_gain_is_the_fall_without_the_first_tenth():
    values = np.concatenate([np.full(10, 100.0), np.linspace(9, 0, 90)])
    gain, error = total_gain(values)
    assert gain == pytest.approx(9.0, rel=0.05)
    assert error < 0.1
