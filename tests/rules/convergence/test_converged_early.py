"""Evaluations that stay where they were long before the end say that the rest bought nothing."""

import numpy as np
import pytest

from lmdiag.finding import Severity
from lmdiag.rules.convergence.converged_early import check
from tests.rules.curves import falling, fires, healthy, run, series


def evaluated(*losses: float):
    return run(loss=falling(100 * len(losses)), val__loss=series(losses, every=100, first=100))


def test_fires_at_the_first_evaluation_that_was_as_good():
    (found,) = fires(check, evaluated(5, 4, 3.5, 3.01, 3.0, 3.005, 3.0, 2.995, 3.0, 3.0))
    assert found.first_step == 400
    assert found.evidence["share_after"] == pytest.approx(0.6, abs=0.01)


@pytest.mark.parametrize(
    ("start", "gain", "grade"),
    [(10.0, 0.0, Severity.WARNING), (4.0, 0.0, Severity.INFO), (10.0, 0.3, Severity.INFO)],
    ids=["from scratch", "a fine-tune", "the training loss falls on"],
)
def test_half_a_run_from_scratch_without_a_gain_is_a_warning(start, gain, grade):
    losses = np.r_[np.geomspace(start, 3, 800), np.linspace(3, 3 - gain, 1200)] * np.random.default_rng(0).normal(
        1, 0.01, 2000
    )
    made = run(loss=losses, val__loss=series([9, 7, 5, 4, 3.5, 3.2, 3.1, *[3.0] * 13], every=100, first=100))
    (found,) = fires(check, made)
    assert found.severity is grade


@pytest.mark.parametrize("evaluations", [12, 60, 200])
def test_the_worst_of_many_evaluations_does_not_begin_the_stretch_anew(evaluations):
    found = 0
    for seed in range(20):
        flat = 3.0 * np.exp(np.random.default_rng(seed).normal(0, 0.004, evaluations))
        found += len(fires(check, evaluated(6, 5, 4, 3.5, *flat)))
    assert found >= 16  # of 60 evaluations, 2 where two deviations are allowed


def test_a_slow_fall_is_not_taken_for_scatter():
    """Noise of 1% makes a band of 4% or so, into which a third of the fall fits."""
    falls, flats = 0, 0
    for seed in range(60):
        noise = np.exp(np.random.default_rng(seed).normal(0, 0.01, 40))
        falls += len(fires(check, evaluated(*np.linspace(3.0, 2.7, 40) * noise)))
        flats += len(fires(check, evaluated(*np.r_[np.linspace(3.3, 2.7, 12), np.full(28, 2.7)] * noise)))
    assert falls <= 2
    assert flats >= 40


@pytest.mark.parametrize(
    "losses",
    [
        np.geomspace(5, 3, 12),
        [5, 4, 3.5, 3.3, 3.1, 3.05, 3.0, 3.0],
        [5, 4, 3, 3, 3, 3.2, 3.4, 3.6, 3.8, 4.0],
        [3, 3, 3, 3, 3, 3, 3, 3],
        [5, 3, 3, 3],
    ],
    ids=["still falling", "only at the end", "rising again", "never improved", "too few"],
)
def test_silent_otherwise(losses):
    made = evaluated(*losses)
    assert check.missing(made) or fires(check, made) == []


def test_silent_on_healthy_runs():
    for seed in range(6):
        assert fires(check, healthy(500, seed)) == []
