"""Spikes that pass under a limit that never acts are information."""

import numpy as np
import pytest

from lmdiag.finding import NotChecked, Severity
from lmdiag.rules.gradients.clip_inactive import check
from tests.rules.curves import falling, fires, healthy, run


def spiked(limit: float, spikes: int = 4, n: int = 1000):
    norms = np.exp(np.random.default_rng(0).normal(0, 0.1, n))
    norms[300 : 300 + 100 * spikes : 100] = 9.0
    return run(loss=falling(n), grad_norm=norms, config={"grad_clip": limit})


@pytest.mark.parametrize("limit", [0, 100.0])
def test_fires_with_the_steps_and_a_limit(limit):
    (found,) = fires(check, spiked(limit))
    assert (found.severity or Severity.INFO) is Severity.INFO
    assert found.steps == (301, 401, 501, 601)
    assert "99th percentile" in found.advice[0]


def test_silent_with_a_limit_in_reach_or_too_few_spikes():
    assert fires(check, spiked(5.0)) == []
    assert fires(check, spiked(100.0, spikes=2)) == []


def test_not_checked_without_a_limit():
    assert [type(said) for said in check.look(healthy(200))] == [NotChecked]
