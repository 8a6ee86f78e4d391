"""A perplexity must be the exponential of its loss, within rounding and the mean of exponentials."""

import numpy as np
import pytest

from lmdiag.finding import NotChecked, Severity
from lmdiag.rules.integrity.perplexity_mismatch import check
from lmdiag.run import Series
from tests.rules.curves import falling, fires, healthy, run

LOSS = falling(100)


def test_a_perplexity_of_something_else_is_information():
    (found,) = fires(check, run(loss=LOSS, ppl=1.3 * np.exp(LOSS)))
    assert found.severity is Severity.INFO
    assert "30.0% more" in found.message
    assert found.evidence["difference"] == pytest.approx(np.log(1.3))


def test_a_power_of_two_is_named():
    (found,) = fires(check, run(loss=LOSS, ppl=2**LOSS))
    assert found.severity is Severity.INFO
    assert "bits" in found.message


def test_a_power_of_two_of_a_loss_in_nats_is_a_warning():
    (found,) = fires(check, run(loss=LOSS, ppl=2**LOSS, config={"loss_unit": "nats"}))
    assert found.severity is Severity.WARNING


def test_evaluations_are_compared_with_their_own_loss():
    (found,) = fires(check, run(loss=LOSS, val__loss=LOSS + 1, val__ppl=np.exp(LOSS)))
    assert found.metric == "val/ppl"
    assert "less" in found.message


@pytest.mark.parametrize("decimals", [0, 1, 2])
def test_silent_on_rounded_perplexities(decimals):
    rounded = np.round(np.exp(LOSS), decimals)
    ppl = Series(np.arange(1, 101), rounded, decimals=decimals)
    assert fires(check, run(loss=LOSS, ppl=ppl)) == []


def test_silent_on_a_mean_of_exponentials_and_on_capped_ones():
    assert fires(check, run(loss=LOSS, ppl=np.exp(LOSS + 0.05**2 / 2))) == []
    high = np.linspace(30, 3, 100)
    assert fires(check, run(loss=high, ppl=np.exp(np.minimum(high, 20)))) == []


def test_a_log_without_perplexity_is_not_checked():
    assert [type(said) for said in check.look(healthy(100))] == [NotChecked]


def test_a_perplexity_below_one_beside_a_loss_below_zero_is_a_warning():
    losses = -np.linspace(9e3, 8e4, 10)
    made = run(loss=losses, val__loss=losses - 10, val__ppl=np.exp(losses - 10), objective="signed")
    (found,) = fires(check, made)
    assert found.severity is Severity.WARNING
    assert found.message.startswith(
        "val/ppl is below 1 in 10 of 10 records, beside a loss that goes from -9,010 to -80,010"
    )


@pytest.mark.parametrize(
    "made",
    [
        run(loss=np.linspace(0.02, 0.001, 10), ppl=Series(np.arange(1, 11), np.ones(10), decimals=0)),
        run(loss=np.linspace(3, 2, 10), ppl=np.zeros(10)),  # was not computed
        run(loss=-np.linspace(0.1, 0.9, 10), ppl=np.full(10, 12.0), objective="signed"),  # of a codebook
        run(loss=np.r_[-0.01, np.linspace(3, 2, 9)], ppl=np.exp(np.r_[-0.01, np.linspace(3, 2, 9)])),
        run(loss=np.full(10, -0.01), ppl=np.exp(np.full(10, -0.01)), objective="reinforcement"),
    ],
)
def test_silent_on_perplexities_that_may_be(made):
    assert fires(check, made) == []
