"""Zero or vanishing gradients are found while there is something left to learn."""

import numpy as np

from lmdiag.finding import Severity
from lmdiag.rules.gradients.vanishing_gradient import check
from lmdiag.run import Run
from tests.rules.curves import falling, fires, healthy, run


def test_exact_zeros_are_an_error():
    norms = np.ones(100)
    norms[40:] = 0
    (found,) = fires(check, run(loss=np.full(100, 4.0), grad_norm=norms))
    assert found.severity is Severity.ERROR
    assert found.first_step == 41


def test_zeros_in_every_record_count_only_where_the_loss_does_not_fall():
    assert fires(check, run(loss=falling(100), grad_norm=np.zeros(100))) == []
    assert fires(check, run(loss=np.full(100, 4.0), grad_norm=np.zeros(100)))[0].severity is Severity.ERROR


def test_a_norm_that_dies_while_the_loss_stays_high():
    made = run(loss=np.full(100, 5.0), grad_norm=np.geomspace(2, 0.001, 100))
    (found,) = fires(check, made)
    assert found.severity is Severity.WARNING


def cut_off(gain: float, scatter: float = 0.01, seed: int = 0) -> Run:
    """Norms that fall to nothing at step 121 of a loss that stood at 3.5 before and falls by so much behind."""
    rng = np.random.default_rng(seed)
    losses = np.r_[np.linspace(9, 3.5, 100), np.full(20, 3.5), np.linspace(3.5, 3.5 - gain, 280)]
    norms = rng.lognormal(0, 0.15, 400) * np.where(np.arange(400) < 120, 1, 1e-4)
    return run(loss=losses * rng.normal(1, scatter, 400), grad_norm=norms)


def test_a_norm_that_is_cut_off_while_the_loss_stands_is_an_error():
    (found,) = fires(check, cut_off(0))
    assert found.severity is Severity.ERROR
    assert found.first_step == 121


def test_noise_of_the_loss_is_no_gain():
    found = [fires(check, cut_off(0, 0.12, seed)) for seed in range(20)]
    assert sum(bool(said) and said[0].severity is Severity.ERROR for said in found) >= 17
    assert not any(fires(check, cut_off(1.0, 0.12, seed)) for seed in range(20))


def test_a_norm_of_another_unit_while_the_loss_falls_on_is_nothing():
    assert fires(check, cut_off(0.5)) == []


def test_a_tiny_norm_at_the_uniform_guess():
    assert len(fires(check, run(loss=np.full(23, 10.8), grad_norm=np.r_[1.0, np.full(22, 0.01)]))) == 1


def test_silent_on_the_natural_decline():
    assert fires(check, run(loss=falling(300), grad_norm=np.geomspace(5, 0.1, 300))) == []
    assert fires(check, healthy(300)) == []


def test_a_norm_that_fades_is_no_missing_gradient():
    losses = np.r_[4.64, np.full(399, 4.51)]
    (found,) = fires(check, run(loss=losses, grad_norm=0.03 * 10.0 ** np.linspace(0, -4, 400)))
    assert "softmax" in found.advice[0]
