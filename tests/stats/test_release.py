"""A loss that a rate holds up falls with it; one that learns falls before."""

import numpy as np
import pytest

from lmdiag.stats.release import released

N = 300
AT = np.arange(N) / N
LINEAR = np.minimum(1, np.minimum(AT / 0.03, (1 - AT) / 0.6))
CUT = np.where(AT < 0.6, 1.0, 0.1)
STEEP = 5 * np.exp(-AT / 0.03)


def noisy(values: np.ndarray, noise: float, seed: int = 0) -> np.ndarray:
    return values * (1 + np.random.default_rng(seed).normal(0, noise, len(values)))


@pytest.mark.parametrize("noise", [0.01, 0.05])
@pytest.mark.parametrize("rates", [LINEAR, CUT], ids=["decay", "cut"])
def test_a_loss_that_falls_with_its_rate(rates, noise):
    found = released(noisy(3 + STEEP + 2 * np.sqrt(rates), noise), rates)
    assert found is not None
    assert found.cut is (rates is CUT)
    assert found.held > 1.15 * found.end


@pytest.mark.parametrize("noise", [0.005, 0.02, 0.1])
@pytest.mark.parametrize("power", [0.3, 0.6])
def test_silent_on_losses_that_learn_and_are_annealed(power, noise):
    for seed in range(20):
        for rates in (LINEAR, CUT):
            learned = (3 + 7 / (1 + 100 * AT) ** power) * (1 - 0.06 * (1 - rates))
            assert released(noisy(learned, noise, seed), rates) is None


def test_silent_on_a_loss_that_sets_in_by_itself():
    late = np.where(AT < 0.55, 6.0, 3 + 3 * np.exp(-(AT - 0.55) / 0.02))
    assert released(noisy(late, 0.01), LINEAR) is None


def test_silent_on_a_constant_rate():
    assert released(noisy(5 - 3 * AT, 0.01), np.ones(N)) is None


def test_a_rate_that_soon_falls_to_a_half_leaves_a_level_to_compare():
    """Its low part is more than three times as long as all that comes before it."""
    at = np.arange(1200) / 1200
    rates = np.minimum(1, at / 0.03) * np.exp(-3.3 * at)
    assert released(noisy(4 - np.log1p(at / 0.01) / 4, 0.01), rates) is None
