"""Nothing but zeros is an error, unless it is reinforcement learning or only the logged number is wrong."""

from dataclasses import replace

import numpy as np
import pytest

from lmdiag.finding import Severity
from lmdiag.rules.numerics.zero_loss import check
from tests.rules.curves import fires, healthy, run, series


@pytest.mark.parametrize("n", [5, 100])
def test_all_zeros(n):
    (found,) = fires(check, run(loss=np.zeros(n)))
    assert found.severity is Severity.ERROR
    assert (found.first_step, found.last_step) == (1, n)


def test_information_when_the_evaluation_falls():
    (found,) = fires(check, run(loss=np.zeros(50), val__loss=series([5, 4, 3], every=20)))
    assert found.severity is Severity.INFO


@pytest.mark.parametrize("loss", [[0, 0, 0, 3.0, 2.9, 2.8], [1, 0.1, 0.01, 0, 0, 0, 0, 0]])
def test_silent(loss):
    assert fires(check, run(loss=np.array(loss, float))) == []


def test_silent_on_reinforcement_learning_and_healthy_runs():
    assert fires(check, run(loss=np.zeros(50), objective="reinforcement")) == []
    assert fires(check, healthy(50)) == []


def test_zeros_beside_gradients_that_are_not_finite_stand_for_nan():
    (found,) = fires(check, run(loss=np.zeros(13), grad_norm=np.full(13, np.nan)))
    assert found.message.endswith("the gradient norm is not finite there, so that the true loss is NaN.")
    assert "logging_nan_inf_filter" in found.advice[0]


def test_batches_with_gradients_hold_targets():
    assert fires(check, run(loss=np.zeros(4), grad_norm=np.full(4, 0.4))) == []
    (found,) = fires(check, run(loss=np.zeros(7), grad_norm=np.full(7, 0.4)))
    assert found.severity is Severity.WARNING
    assert "although the gradient norm is above 0" in found.message
    (found,) = fires(check, run(loss=np.zeros(4), grad_norm=np.zeros(4)))
    assert found.severity is Severity.ERROR


def test_two_zeros_are_enough_at_the_start_of_a_run():
    (found,) = fires(check, run(loss=np.zeros(2), every=46, first=46))
    assert found.severity is Severity.ERROR
    assert "2 of 2 records" in found.message


@pytest.mark.parametrize(
    "made",
    [
        run(loss=np.zeros(4), every=10, first=5000),  # learned by heart, perhaps
        replace(run(loss=np.zeros(4)), step_kind="record"),  # of an excerpt that nothing counts
        run(loss=np.zeros(4), accuracy=np.full(4, 0.999)),
        run(loss=[0.0, 2.1, 2.0]),
        run(loss=[0.0004, 0.0, 0.0]),
    ],
)
def test_a_few_zeros_may_be_learned_or_rounded(made):
    assert fires(check, made) == []
