"""The spike score is reported above that of published unstable runs, and an alarm only far beyond it."""

import numpy as np
import pytest

from lmdiag.finding import Severity
from lmdiag.rules.spikes.spike_score import check
from tests.rules.curves import falling, fires, healthy, run


def spiked(share: float, factor: float, n: int = 8000) -> np.ndarray:
    loss = falling(n, noise=0.01)
    at = np.random.default_rng(0).choice(np.arange(2000, n), int(share * n), replace=False)
    loss[at] *= factor
    return loss


def test_reports_the_share():
    (found,) = fires(check, run(loss=spiked(0.002, 1.3)))
    assert found.severity is Severity.INFO
    assert found.evidence["score"] == pytest.approx(0.002, rel=0.3)


def test_a_warning_when_there_are_very_many():
    (found,) = fires(check, run(loss=spiked(0.006, 2.0)))
    assert found.severity is Severity.WARNING


def test_the_gradient_norm_has_its_own_limit():
    norms = np.exp(np.random.default_rng(1).normal(0, 0.1, 4000))
    norms[2000:4000:100] *= 20
    (found,) = fires(check, run(loss=falling(4000), grad_norm=norms))
    assert (found.metric, found.severity) == ("grad_norm", Severity.INFO)


def test_silent_on_a_few():
    assert fires(check, run(loss=spiked(0.0005, 2.0))) == []


@pytest.mark.parametrize("n", [1500, 20_000])
def test_silent_on_healthy_runs(n):
    for seed in range(4):
        assert fires(check, healthy(n, seed)) == []
    heavy = falling(n, noise=0) + 0.05 * np.random.default_rng(0).standard_t(5, n)
    assert fires(check, run(loss=heavy)) == []
