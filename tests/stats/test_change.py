"""CUSUM finds slow drift and binary segmentation steps; neither finds anything in noise or slow wander."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmdiag.stats.change import cusum, level_shifts, sharp_steps
from tests.rules.curves import lasting_noise


def noise(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, n)


@pytest.mark.parametrize("drift", [1.0, 2.0])
def test_cusum_finds_the_onset(drift):
    assert abs(cusum(np.r_[noise(500), noise(200, 1) + drift]) - 500) < 25


def test_cusum_seldom_alarms_on_noise():
    assert sum(cusum(noise(10_000, seed)) is not None for seed in range(50)) <= 2


def test_cusum_of_nothing():
    assert cusum(np.empty(0)) is None


@given(st.integers(20, 180), st.floats(1.5, 5))
def test_one_step_is_found_where_it_is(at, size):
    values = noise(200) * 0.3
    values[at:] += size
    assert any(abs(shift.at - at) <= 2 and shift.size == pytest.approx(size, abs=0.5) for shift in level_shifts(values))


def test_several_steps_in_order():
    values = np.repeat([3.0, 2.0, 2.5, 1.0], 60) + 0.1 * noise(240)
    assert [s.at for s in level_shifts(values)] == [60, 120, 180]


def test_noise_has_no_steps():
    for seed in range(30):
        assert [s for s in level_shifts(noise(400, seed)) if s.errors > 6] == []


def test_noise_that_lasts_has_no_sharp_steps():
    found = [seed for seed in range(100) if sharp_steps(lasting_noise(900, 10, seed), 6.0)]
    assert len(found) <= 2, found


def test_a_step_out_of_noise_that_lasts_is_sharp():
    (shift,) = sharp_steps(lasting_noise(900, 10) + np.where(np.arange(900) < 400, 0, 6), 6.0)
    assert abs(shift.at - 400) <= 2


def test_too_short_to_split():
    assert level_shifts(np.arange(10.0)) == []
