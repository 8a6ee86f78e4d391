"""A gap that grows is worth knowing; a constant one is not."""

import numpy as np
import pytest

from lmdiag.rules.generalization.growing_gap import check
from tests.rules.curves import falling, fires, healthy, run, series


def made(growth: float, evaluations: int = 12):
    loss = falling(100 * evaluations, start=5, floor=2, noise=0.02)
    at = np.arange(1, evaluations + 1) * 100 - 1
    clean = falling(100 * evaluations, start=5, floor=2, noise=0)[at]
    return run(loss=loss, val__loss=series(clean + 0.1 + np.linspace(0, growth, evaluations), every=100, first=100))


@pytest.mark.parametrize("growth", [0.6, 1.5])
def test_fires_with_its_growth(growth):
    (found,) = fires(check, made(growth))
    assert found.evidence["growth"] == pytest.approx(0.75 * growth, rel=0.2)


@pytest.mark.parametrize("growth", [0.0, 0.1, -0.5])
def test_silent_on_a_gap_that_hardly_grows(growth):
    assert fires(check, made(growth)) == []


def test_silent_with_few_evaluations():
    assert fires(check, made(1.0, evaluations=6)) == []


def test_silent_on_healthy_runs():
    for seed in range(6):
        assert fires(check, healthy(500, seed)) == []
