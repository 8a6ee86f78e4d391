"""Zero or vanishing gradients are found while there is something left to learn."""

import numpy as np

from lmdiag.finding import Severity
from lmdiag.rules.gradients.vanishing_gradient import check
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


def test_a_tiny_norm_at_the_uniform_guess():
    assert len(fires(check, run(loss=np.full(23, 10.8), grad_norm=np.r_[1.0, np.full(22, 0.01)]))) == 1


def test_silent_on_the_natural_decline():
    assert fires(check, run(loss=falling(300), grad_norm=np.geomspace(5, 0.1, 300))) == []
    assert fires(check, healthy(300)) == []
