"""Exact zeros among ordinary losses are masked NaN; a loss memorised down to zero is not."""

import numpy as np
import pytest

from lmdiag.finding import Severity
from lmdiag.rules.integrity.masked_nan import check
from tests.rules.curves import falling, fires, healthy, run


def test_zeros_in_the_second_half():
    loss = falling(100)
    loss[50:] = 0.0
    (found,) = fires(check, run(loss=loss))
    assert (found.first_step, found.last_step) == (51, 100)
    assert found.evidence["records"] == 50
    assert "Nothing was learned" in found.message


@pytest.mark.parametrize(
    "loss",
    [
        [0.0, 0.0, 50.0, 52.0, 0.0],
        [12.0, 0.0, 0.0, 50.0, 0.0],
        [2.2, 0.0, 0.0],
        [2.2, 1.4, 0.0, 0.0],
        [5.7, 0.0, 5.1, 0.0],
    ],
)
def test_short_logs(loss):
    assert len(fires(check, run(loss=loss))) == 1


def test_a_last_evaluation_of_zero_is_none():
    log = run(loss=falling(12), **{"val/loss": [2.8 - n / 10 for n in range(11)] + [0.0]})
    (found,) = fires(check, log)
    assert (found.metric, found.severity, found.first_step) == ("val/loss", Severity.WARNING, 12)
    assert log.evaluation[1].values.tolist()[-1] != 0


@pytest.mark.parametrize(
    "values", [[0.4, 0.1, 0.02, 0.0], [0.0, 2.8, 2.5, 2.3], [2.8, 0.0, 2.5, 2.3], [0.3, 0.3, 0.3, 0.0]]
)
def test_an_evaluation_that_may_be_zero(values):
    assert fires(check, run(loss=falling(4), **{"val/loss": values})) == []


@pytest.mark.parametrize(
    "loss",
    [
        [2.0, 1.0, 0.1, 0.0004, 0.0001, 0.0, 0.0, 0.0],  # memorised, printed with four decimals
        [2.0, 0.0, 1.8, 1.7, 1.6],  # one zero
        [2.2, 0.0],  # one zero, at the end
        [2.2, 0.0, 0.4, 0.0],  # another is near it
        [0.9, 0.4, 0.1, 0.0, 0.0],  # printed with one decimal
        [0.0, 0.0, 0.0, 0.0],  # nothing but zeros: nothing to compare with
    ],
)
def test_silent(loss):
    assert fires(check, run(loss=loss)) == []


def test_silent_on_reinforcement_learning_and_healthy_runs():
    assert fires(check, run(loss=np.r_[0.0, 0.0, 0.0, 0.2, 0.3], objective="reinforcement")) == []
    assert fires(check, healthy(100)) == []


def test_a_zero_after_an_explosion_needs_no_second():
    assert len(fires(check, run(loss=[1.26, 1.3, 1.31, 34023.8, 0.0]))) == 1
    assert fires(check, run(loss=[1.26, 1.3, 1.31, 1.5, 0.0])) == []


def test_one_loss_and_then_zeros():
    assert len(fires(check, run(loss=[122.0, *[0.0] * 36]))) == 1


@pytest.mark.parametrize("samples", [4, 8, 16])
def test_silent_on_a_hinge_loss_that_reaches_zero_continuously(samples):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        margins = np.linspace(0, 2.2, 800)[:, None] + rng.normal(0, 1, (800, samples))
        loss = np.maximum(1 - margins, 0).mean(1)
        assert (loss == 0).sum() >= 3
        assert fires(check, run(loss=loss)) == []


@pytest.mark.parametrize("loss", [falling(300), falling(300, start=2.0, floor=0.4, noise=0.1)])
@pytest.mark.parametrize("every", [3, 30])
def test_zeros_scattered_among_ordinary_losses(loss, every):
    loss = np.where(np.arange(300) % every == every - 1, 0.0, loss)
    assert len(fires(check, run(loss=loss))) == 1


def with_zeros(every, norm):
    loss, norms = falling(100) + 1, np.full(100, 0.8)
    loss[5::every] = 0.0
    norms[5::every] = norm
    return run(loss=loss, grad_norm=norms)


def test_batches_without_targets_leave_no_gradient_and_are_no_nan():
    (found,) = fires(check, with_zeros(8, 0.0))
    assert found.severity is Severity.WARNING
    assert "and the gradient norm is 0 there as well: batches without targets." in found.message
    assert not any("nan_inf_filter" in line for line in found.advice)
    (found,) = fires(check, with_zeros(3, 0.0))
    assert found.severity is None
    assert "Nothing was learned" in found.message


@pytest.mark.parametrize("norm", [np.nan, 0.7])
def test_a_gradient_at_the_zeros_speaks_for_a_nan(norm):
    (found,) = fires(check, with_zeros(8, norm))
    assert "a masked NaN" in found.message
    assert found.severity is None


@pytest.mark.parametrize(("margin", "found"), [(12.0, 0), (0.4, 1)])
def test_a_wide_margin_makes_a_loss_of_preferences_that_is_printed_as_zero(margin, found):
    loss, margins = np.full(40, 0.6), np.full(40, 0.4)
    loss[30:], margins[30:] = 0.0, margin
    assert len(fires(check, run(loss=loss, reward_margin=margins, objective="preference"))) == found


@pytest.mark.parametrize("least", [2.0**-23, 1.1921e-07, 1.192e-07])
def test_the_loss_of_clipped_probabilities_counts_as_zero(least):
    (found,) = fires(check, run(loss=[3.1, 1.8, 1.4, 1.2, 0.5, least, least, least, least]))
    assert (found.first_step, found.evidence["records"]) == (6, 4)
    assert "2^-23" in found.message


def test_silent_where_a_loss_is_memorised_down_to_it():
    assert fires(check, run(loss=[3.1, 1.0, 0.2, 0.03, 0.001, 2e-05, 2.0**-23, 2.0**-23, 2.0**-23])) == []
    assert fires(check, run(loss=[3.1, 1.0, 0.5, 1.3e-07, 1.25e-07, 1.2e-07, 1.1e-07])) == []


@pytest.mark.parametrize(("norms", "fires_"), [([2e-5, 4e-6], 1), ([2.1, 4e-6], 0), ([2e-5, np.nan], 0)])
def test_one_zero_that_no_gradient_explains(norms, fires_):
    """A gradient of next to nothing brings no loss down; one of order one may, and a norm that is NaN says what it is itself."""
    assert len(fires(check, run(loss=[1.8, 0.0], grad_norm=norms))) == fires_


def test_silent_on_a_low_loss_beside_no_gradient():
    assert fires(check, run(loss=[0.01, 0.0], grad_norm=[2e-4, 1e-5])) == []
    assert fires(check, run(loss=[1.8, 0.0], grad_norm=[2e-5, 1e-5], objective="reinforcement")) == []
