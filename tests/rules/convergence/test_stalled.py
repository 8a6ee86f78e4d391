"""A curve that stops short of its own promise has stalled; one that is done, or annealed, has not."""

import numpy as np
import pytest

from lmdiag.finding import Severity
from lmdiag.rules.convergence.stalled import check
from tests.rules.curves import fires, healthy, run


def power(n: int, stop: int, noise: float = 0.005, seed: int = 0) -> np.ndarray:
    at = np.minimum(np.arange(1, n + 1), stop)
    return (1 + 6 * (at / 10) ** -0.3) * (1 + np.random.default_rng(seed).normal(0, noise, n))


@pytest.mark.parametrize("seed", range(4))
def test_fires_where_the_curve_stands_still(seed):
    (found,) = fires(check, run(loss=power(1000, 600, seed=seed), lr=np.full(1000, 1e-3)))
    assert found.first_step == 601
    assert found.severity is Severity.INFO
    assert found.evidence["promised_gain"] > 4 * found.evidence["largest_gain"]


@pytest.mark.parametrize(("lr", "severity"), [({}, Severity.INFO), ({"lr": np.full(1000, 1e-3)}, Severity.WARNING)])
def test_a_warning_needs_a_large_promise_and_the_learning_rate(lr, severity):
    steep = 0.5 + 20 * (np.minimum(np.arange(1, 1001), 600) / 10) ** -0.6
    noise = np.random.default_rng(0).normal(0, 0.01, 1000)
    (found,) = fires(check, run(loss=steep + noise, **lr))
    assert found.severity is severity


def test_silent_while_the_curve_keeps_its_promise():
    for n in (80, 400, 5000):
        assert fires(check, run(loss=power(n, n))) == []


def test_silent_when_the_learning_rate_has_decayed():
    rate = np.r_[np.full(600, 1e-3), np.linspace(1e-3, 0, 400)]
    assert fires(check, run(loss=power(1000, 600), lr=rate)) == []


def test_silent_on_a_finished_fine_tune():
    loss = 1 + 0.5 * np.exp(-np.arange(500) / 30) + np.random.default_rng(0).normal(0, 0.05, 500)
    assert fires(check, run(loss=loss)) == []


def test_silent_on_healthy_runs():
    for seed in range(6):
        assert fires(check, healthy(500, seed)) == []
