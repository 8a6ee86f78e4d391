"""Evaluations that scatter more than the run improves are too noisy to judge by."""

import numpy as np
import pytest

from lmdiag.finding import Severity
from lmdiag.rules.generalization.noisy_evaluation import check
from tests.rules.curves import fires, healthy, run, series


def evaluated(fall: float, noise: float, n: int = 20, seed: int = 0):
    losses = 3 - fall * (1 - np.exp(-np.arange(n) / 5)) + np.random.default_rng(seed).normal(0, noise, n)
    return run(val__loss=series(losses, every=100, first=100))


@pytest.mark.parametrize("seed", range(4))
def test_fires_with_its_detection_limit(seed):
    (found,) = fires(check, evaluated(0.15, 0.12, n=40, seed=seed))
    assert found.evidence["sigma"] == pytest.approx(0.12, rel=0.45)
    assert found.evidence["detection_limit"] == pytest.approx(3 * found.evidence["sigma"])


@pytest.mark.parametrize(("fall", "noise"), [(1.0, 0.05), (0.02, 0.01), (0.5, 0.0)])
def test_silent_when_noise_is_small(fall, noise):
    assert fires(check, evaluated(fall, noise)) == []


def test_silent_on_a_clear_rise():
    assert fires(check, run(val__loss=series(np.linspace(2, 4, 12) + 0.05 * (-1) ** np.arange(12)))) == []


def test_silent_on_healthy_runs():
    for seed in range(6):
        assert fires(check, healthy(500, seed)) == []


@pytest.mark.parametrize(("factor", "severity"), [(8.0, Severity.WARNING), (1.08, Severity.INFO)])
def test_a_warning_where_it_changes_manyfold_each_time(factor, severity):
    jumps = factor ** (np.tile([0.0, 1.0], 15) * np.linspace(1.2, 0.9, 30))
    (found,) = fires(check, run(val__loss=series(4 * jumps, every=100, first=100)))
    assert found.severity is severity


def test_no_warning_where_nothing_is_left_to_lose():
    losses = 0.004 * np.exp(np.random.default_rng(3).normal(0, 2, 30))
    assert [f for f in fires(check, run(val__loss=series(losses, every=100))) if f.alarms] == []


def about(factor, seed=0):
    """Evaluations near 0.7, of which every fourth of the last half is so many times as large."""
    high = np.isin(np.arange(40), [23, 27, 31, 35, 39])
    return 0.7 * factor**high * np.exp(np.random.default_rng(seed).normal(0, 0.05, 40))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("factor", [8.0, 7000.0])
def test_a_warning_where_it_jumps_about_and_comes_back(factor, seed):
    (found,) = fires(check, run(val__loss=series(about(factor, seed))))
    assert found.severity is Severity.WARNING
    assert "one change in four of its last half is" in found.message


@pytest.mark.parametrize("seed", range(4))
def test_no_warning_where_what_stands_out_is_less_than_fourfold(seed):
    assert [f for f in fires(check, run(val__loss=series(about(2.5, seed)))) if f.alarms] == []


@pytest.mark.parametrize(("fall", "noise", "severity"), [(0.0, 0.8, "WARNING"), (2.0, 0.8, "INFO"), (0.0, 0.2, "INFO")])
def test_a_warning_where_wide_scatter_is_all_there_is(fall, noise, severity):
    losses = 4 - fall * np.linspace(0, 1, 90) + np.random.default_rng(0).normal(0, noise, 90)
    (found,) = fires(check, run(val__loss=series(losses, every=100, first=100)))
    assert found.severity.name == severity
