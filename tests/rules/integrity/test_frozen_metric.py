"""A value that repeats exactly after having moved is said; rounding, carried values and dead rates are not."""

import numpy as np
import pytest

from lmdiag.finding import Severity
from lmdiag.rules.integrity.frozen_metric import check
from tests.rules.curves import cosine_lr, falling, fires, healthy, run


def frozen(first: int, length: int, n: int = 300) -> np.ndarray:
    loss = falling(n)
    loss[first : first + length] = loss[first]
    return loss


def test_a_loss_that_stops_for_good_is_a_warning():
    (found,) = fires(check, run(loss=frozen(200, 100)))
    assert found.severity is Severity.WARNING
    assert (found.first_step, found.last_step, found.evidence["records"]) == (201, 300, 100)
    assert "until the end" in found.message


def test_a_short_stop_is_information():
    (found,) = fires(check, run(loss=frozen(200, 8)))
    assert found.severity is Severity.INFO


def test_an_evaluation_that_stops_is_information():
    evaluations = np.r_[np.linspace(5, 3, 20), np.full(10, 3.0)]
    (found,) = fires(check, run(loss=falling(300), val__loss=evaluations))
    assert (found.metric, found.severity) == ("val/loss", Severity.INFO)


@pytest.mark.parametrize("decimals", [0, 1, 2])
def test_silent_on_rounding(decimals):
    for seed in range(10):
        assert fires(check, run(loss=np.round(falling(2000, noise=0.02, seed=seed), decimals))) == []


def test_silent_on_values_carried_forward():
    assert fires(check, run(loss=falling(300), val__loss=np.repeat(np.linspace(5, 3, 15), 20))) == []


def test_silent_where_the_rate_is_dead():
    lr = np.r_[cosine_lr(200), np.zeros(100)]
    assert fires(check, run(loss=frozen(200, 100), lr=lr)) == []


def test_silent_on_norms_at_their_ceiling_and_on_constants():
    norms = np.minimum(np.linspace(0.5, 2, 300), 1.0)
    assert fires(check, run(loss=falling(300), grad_norm=norms)) == []
    assert fires(check, run(loss=np.ones(300))) == []
    assert fires(check, healthy(300)) == []
