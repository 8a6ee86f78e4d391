"""Weights that double to no effect, or jump, are information."""

import numpy as np

from lmdiag.finding import Severity
from lmdiag.rules.schedule.weight_growth import check
from tests.rules.curves import cosine_lr, falling, fires, run

N = 300
FLAT = np.r_[falling(60), np.full(N - 60, 3.2)] + np.random.default_rng(0).normal(0, 0.02, N)


def test_growth_without_progress():
    (found,) = fires(check, run(loss=FLAT, param_norm=np.geomspace(10, 80, N), lr=cosine_lr(N)))
    assert (found.severity or Severity.INFO) is Severity.INFO
    assert found.evidence["growth"] > 2
    assert found.first_step == 91


def test_a_jump():
    weights = np.full(N, 20.0)
    weights[150:] = 45
    (found,) = fires(check, run(loss=FLAT, param_norm=weights))
    assert (found.first_step, found.evidence["ratio"]) == (151, 2.25)


def test_silent_on_growth_with_progress_and_on_slow_growth():
    assert fires(check, run(loss=falling(N), param_norm=np.geomspace(10, 80, N))) == []
    assert fires(check, run(loss=FLAT, param_norm=np.linspace(20, 25, N))) == []
    assert fires(check, run(loss=FLAT, param_norm=np.ones(N))) == []
