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
