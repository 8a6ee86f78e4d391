"""Training that falls under a standing evaluation is memorising."""

import numpy as np

from lmdiag.rules.generalization.flat_evaluation import check
from tests.rules.curves import fires, healthy, run, series


def made(training_end: float, evaluations, noise: float = 0.02):
    n = 100 * len(evaluations)
    training = np.geomspace(4, training_end, n) + np.random.default_rng(0).normal(0, noise, n)
    return run(loss=training, val__loss=series(evaluations, every=100, first=100))


FLAT = [4, 3.2, 2.8, 2.6, 2.6, 2.605, 2.6, 2.595, 2.6, 2.6]


def test_fires_where_the_evaluation_stopped():
    (found,) = fires(check, made(0.8, FLAT))
    assert found.first_step == 400
    assert found.evidence["training_fall"] > 0.5


def test_silent_when_training_stands_too():
    training = np.r_[np.geomspace(4, 2.5, 300), np.full(700, 2.5)] + np.random.default_rng(0).normal(0, 0.02, 1000)
    assert fires(check, run(loss=training, val__loss=series(FLAT, every=100, first=100))) == []


def test_silent_while_the_evaluation_falls():
    assert fires(check, made(0.8, np.geomspace(4, 2, 10))) == []


def test_silent_on_healthy_runs():
    for seed in range(6):
        assert fires(check, healthy(500, seed)) == []
