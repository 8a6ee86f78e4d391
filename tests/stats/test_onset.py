"""A jump begins at the jump, however noisy the level before it; a slow rise where it leaves that level."""

import numpy as np
import pytest

from lmdiag.stats.rebound import sustained_rise


def noisy(n: int, seed: int, level: float, sigma: float) -> np.ndarray:
    fall = 2 * np.exp(-np.arange(n) / (0.04 * n))
    return np.maximum(level + fall + np.random.default_rng(seed).normal(0, sigma, n), level / 8)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("level", "sigma", "end"), [(0.08, 0.04, 2.3), (0.25, 0.09, 2.3), (0.35, 0.12, 4.0)])
def test_a_jump_out_of_noise_as_large_as_the_level_is_dated_at_the_jump(seed, level, sigma, end):
    curve = noisy(150, seed, level, sigma)
    curve[90:] = end + np.random.default_rng(seed + 100).normal(0, 0.02, 60)
    found = sustained_rise(curve)
    assert found is not None
    assert 89 <= found.onset <= 90


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("slope", [0.006, 0.02, 0.1])
def test_a_slow_rise_is_dated_where_it_leaves_the_level(seed, slope):
    curve = 3 + noisy(200, seed, 0.4, 0.03) + slope * np.maximum(0, np.arange(200) - 100)
    found = sustained_rise(curve)
    assert found is not None
    assert abs(found.onset - 100) <= 6


def test_a_spike_before_it_is_not_its_beginning():
    curve = 3 + noisy(200, 0, 0.4, 0.05)
    curve[120:122] += 3
    curve[150:] += 2
    found = sustained_rise(curve)
    assert found is not None
    assert found.onset == 150
