"""A gradient norm that grows, with ever more spikes, is reported; either alone is not."""

import numpy as np
import pytest

from lmdiag.finding import Severity
from lmdiag.rules.divergence.rising_instability import check
from tests.rules.curves import falling, fires, healthy, run


def norms(growth: float, spikes: int, n: int = 1000, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = np.exp(rng.normal(0, 0.1, n)) * np.r_[np.ones(n // 2), np.geomspace(1, growth, n - n // 2)]
    values[rng.choice(np.arange(n // 2 + 100, n), spikes, replace=False)] *= 6
    return values


def test_growth_with_spikes():
    (found,) = fires(check, run(grad_norm=norms(3, 15)))
    assert found.severity is Severity.INFO
    assert found.evidence["spikes_before"] == 0
    assert found.first_step > 500


def test_a_warning_when_the_loss_no_longer_falls():
    flat = np.r_[falling(500, noise=0.01), np.full(500, 3.2)]
    (found,) = fires(check, run(loss=flat, grad_norm=norms(8, 15)))
    assert found.severity is Severity.WARNING


@pytest.mark.parametrize(("growth", "spikes"), [(8, 0), (8, 3), (1, 30), (1.5, 15)])
def test_silent_on_one_without_the_other(growth, spikes):
    assert fires(check, run(grad_norm=norms(growth, spikes))) == []


def test_silent_on_spikes_everywhere():
    values = norms(4, 0)
    values[::40] *= 6
    assert fires(check, run(grad_norm=values)) == []


def test_silent_on_healthy_runs():
    for seed in range(6):
        assert fires(check, healthy(1000, seed)) == []
