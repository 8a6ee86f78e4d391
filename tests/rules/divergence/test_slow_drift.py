"""A slow rise after the minimum is drift: a warning only if the evaluation rises with it."""

import numpy as np
import pytest

from lmdiag.finding import Severity
from lmdiag.rules.divergence.slow_drift import check
from tests.rules.curves import falling, fires, healthy, run, series


def drifting(n: int = 600, at: int = 350, rise: float = 0.08, noise: float = 0.02, seed: int = 0) -> np.ndarray:
    loss = falling(n, start=6, noise=noise, seed=seed)
    floor = np.median(loss[at - 20 : at])
    loss[at:] = np.linspace(0, rise, n - at) + floor + np.random.default_rng(seed).normal(0, noise, n - at)
    return loss


@pytest.mark.parametrize("seed", range(4))
def test_fires_after_the_minimum(seed):
    (found,) = fires(check, run(loss=drifting(seed=seed)))
    assert found.severity is Severity.INFO
    assert 330 <= found.first_step <= 520
    assert found.evidence["rise"] == pytest.approx(0.08, abs=0.04)


def test_a_warning_when_the_evaluation_rises_too():
    evaluations = series(np.r_[np.linspace(5, 3.1, 7), [3.15, 3.2, 3.25, 3.3, 3.35]], every=50, first=50)
    (found,) = fires(check, run(loss=drifting(rise=0.09, noise=0.005), val__loss=evaluations))
    assert found.severity is Severity.WARNING


def test_information_when_the_evaluation_stays_at_its_best():
    evaluations = series(np.linspace(5, 3.1, 12), every=50, first=50)
    (found,) = fires(check, run(loss=drifting(noise=0.005), val__loss=evaluations))
    assert "stays at its best" in found.message


def test_the_luckiest_of_many_evaluations_is_not_their_level():
    found = []
    for seed in range(8):
        noisy = np.linspace(3.3, 3.2, 48) + np.random.default_rng(seed).normal(0, 0.035, 48)
        noisy[24], noisy[-2:] = 3.1, 3.22
        loss = drifting(rise=0.09, noise=0.005)
        found += fires(check, run(loss=loss, val__loss=series(noisy, every=12, first=12)))
    assert [f.severity for f in found] == [Severity.INFO] * 8
    assert all("more than its noise" in f.message for f in found)


def test_a_warning_when_many_noisy_evaluations_rise_too():
    level = np.r_[np.geomspace(5, 3.2, 28), np.linspace(3.2, 3.5, 20)]
    for seed in range(8):
        noisy = level + np.random.default_rng(seed).normal(0, 0.035, 48)
        (found,) = fires(check, run(loss=drifting(rise=0.09, noise=0.005), val__loss=series(noisy, every=12, first=12)))
        assert found.severity is Severity.WARNING


def test_silent_on_a_real_divergence_which_has_its_own_rule():
    loss = drifting()
    loss[400:] += np.linspace(0, 3, 200)
    assert fires(check, run(loss=loss)) == []


@pytest.mark.parametrize("n", [60, 400, 5000])
def test_silent_on_healthy_runs(n):
    for seed in range(6):
        assert fires(check, healthy(n, seed)) == []
        flat = 3 + np.random.default_rng(seed).normal(0, 0.1, n)
        assert fires(check, run(loss=flat)) == []
