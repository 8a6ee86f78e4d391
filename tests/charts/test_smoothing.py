"""The smooth mean against its definition, and at gaps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lmdiag.charts.smoothing import half_life_mean
from lmdiag.charts.traces import trace
from lmdiag.charts.view import View
from lmdiag.run import Run, Series


def by_definition(steps, values, half_life):
    ages = steps[:, None] - steps[None, :]
    weights = np.where(ages >= 0, 0.5 ** (np.abs(ages) / half_life), 0.0)
    return weights @ values / weights.sum(axis=1)


@given(arrays(float, st.integers(1, 60), elements=st.floats(-100, 100)), st.floats(0.01, 1e5), st.integers(0, 10**6))
def test_equals_the_weighted_mean_of_what_came_before(values, half_life, seed):
    steps = np.cumsum(np.random.default_rng(seed).integers(1, 50, len(values)))
    expected = by_definition(steps, values, half_life)
    assert half_life_mean(steps, values, half_life) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_stays_right_over_many_half_lives():
    steps = np.arange(20_000)
    values = np.sin(steps / 300.0)
    smooth = half_life_mean(steps, values, 2.0)
    assert smooth == pytest.approx(values, abs=0.02)


def test_never_smooths_across_a_gap():
    values = np.array([1.0, 1.0, np.nan, 9.0, 9.0])
    smooth = half_life_mean(np.arange(5), values, 100.0)
    assert smooth[[0, 1, 3, 4]].tolist() == pytest.approx([1.0, 1.0, 9.0, 9.0])
    assert np.isnan(smooth[2])


@pytest.mark.parametrize("n", [2_000, 200_000])
def test_nothing_shows_before_it_begins_and_nothing_of_before_after_it(n):
    values = np.full(n, 2.0)
    values[n // 2 :] = 8.0
    series = Series(np.arange(n), values)
    smooth = trace(Run("a", {"loss": series}), "a", "loss", series, View(half_life=n / 25, onsets=(n // 2,))).smooth
    assert set(smooth.values[smooth.x < n // 2]) == {2.0}
    assert set(smooth.values[smooth.x >= n // 2]) == {8.0}


def test_the_largest_numbers_do_not_overflow():
    with np.errstate(all="raise"):
        mean = half_life_mean(np.arange(2000), np.full(2000, 1e300), 2.0)
    assert np.allclose(mean, 1e300, rtol=1e-12)
