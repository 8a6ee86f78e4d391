"""The law of the loss: known constants are found again, outliers do not bend it, and it refuses what no law fits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmdiag import loss_law
from lmdiag.stats.schedule import Schedule, constant


def power(n: int = 2000, noise: float = 0.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    at = np.arange(1, n + 1)
    return at, (2 + 6 * (at / 50) ** -0.5) * (1 + np.random.default_rng(seed).normal(0, noise, n))


def cosine(n: int, low: float = 0.0) -> Schedule:
    at = np.arange(n + 1.0)
    return Schedule(at, low + (1 - low) * 0.5 * (1 + np.cos(np.pi * at / n)))


@pytest.mark.parametrize("noise", [0.0, 0.01, 0.05])
def test_predicts_twice_the_length(noise):
    at, losses = power(noise=noise)
    law = loss_law.fit(at, losses)
    truth = 2 + 6 * (4000 / 50) ** -0.5
    assert float(law.at(np.array([4000.0]))[0]) == pytest.approx(truth, rel=0.01 + noise / 2)
    assert law.scatter == pytest.approx(noise, abs=0.004)


def test_outliers_do_not_bend_it():
    at, losses = power(noise=0.01)
    clean = loss_law.fit(at, losses).at(at)
    losses[np.random.default_rng(1).choice(2000, 100, replace=False)] *= 3
    assert np.abs(loss_law.fit(at, losses).at(at)[100:] / clean[100:] - 1).max() < 0.01


def test_sees_what_annealing_buys():
    at = np.arange(1, 4001)
    schedule = cosine(4000)
    losses = 2 + 1.5 * (schedule.learning(at) / 4000 + 0.01) ** -0.3 - 0.3 * schedule.annealed(at)
    law = loss_law.fit(at, losses, schedule)
    assert law.annealing == pytest.approx(0.3, abs=0.1)
    assert np.abs(law.residuals(at[200:], losses[200:])).max() < 0.01


def test_learning_and_annealing_of_a_constant_rate():
    at = np.array([0.0, 10.0, 500.0])
    assert constant().learning(at).tolist() == [0, 10, 500]
    assert constant().annealed(at).tolist() == [0, 0, 0]


@pytest.mark.parametrize("losses", [np.full(500, 3.0), np.linspace(2, 4, 500), np.linspace(1, -1, 500), np.ones(10)])
def test_refuses_what_no_falling_law_fits(losses):
    law = loss_law.fit(np.arange(1, len(losses) + 1), losses)
    assert law is None or abs(law.at(np.array([1.0]))[0] - law.at(np.array([500.0]))[0]) < 0.5


def test_slow_wander_widens_the_bootstrap():
    at, losses = power(noise=0.02)
    wander = np.convolve(np.random.default_rng(3).normal(0, 1, 2199), np.ones(200) / 200**0.5, "valid") * 0.02
    wide = losses * (1 + wander)
    spread = []
    for curve in (losses, wide):
        law = loss_law.fit(at, curve)
        draws = loss_law.bootstrap(law, at, curve, np.array([2000.0, 3000.0]), law.schedule)
        assert draws.shape == (200, 2)
        spread.append(draws[:, 1].std())
    assert spread[1] > 1.5 * spread[0]


@given(st.lists(st.floats(0.01, 50), min_size=0, max_size=80), st.lists(st.floats(0, 1), min_size=2, max_size=80))
@settings(max_examples=60)
def test_never_stumbles(losses, rates):
    schedule = Schedule(np.arange(len(rates), dtype=float), np.array(rates)) if max(rates) > 0 else None
    law = loss_law.fit(np.arange(1, len(losses) + 1), np.array(losses), schedule)
    assert law is None or np.isfinite(law.at(np.arange(1.0, 200.0))).all()
