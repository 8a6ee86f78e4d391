"""A margin that does not grow."""

import numpy as np
import pytest

from lmdiag.finding import NotChecked, Severity
from lmdiag.rules.preference.flat_margin import check
from lmdiag.run import Series
from tests.rules.curves import fires, levels, pairs, series

LN2 = float(np.log(2))


def test_fires_where_margin_loss_and_accuracy_stay():
    made = pairs(
        reward_margin=levels((0.1, 100), seed=3),
        loss=levels((0.66, 100), seed=4),
        reward_accuracy=levels((0.6, 100), seed=6),
        lr=np.full(100, 1e-8),
    )
    (found,) = fires(check, made)
    assert "it does not grow" in found.message
    assert found.advice[0] == "Raise the learning rate: its peak is 1e-8; try 5e-8."


def test_fires_at_ln_2_however_sure_the_trend():
    (found,) = fires(check, pairs(reward_margin=np.linspace(0, 0.01, 100), loss=np.linspace(LN2, LN2 - 0.004, 100)))
    assert "the loss stays at ln 2" in found.message


def test_fires_where_the_loss_lies_above_ln_2_though_the_margin_grows():
    high = levels((0.95, 50), (0.8, 50), noise=0.05)
    as_right = levels((0.6, 100))  # the accuracy does not rise with the margin
    (found,) = fires(check, pairs(loss=high, val__loss=None, reward_accuracy=as_right))
    assert f"the loss ends at {np.median(high[-20:]):.3g}, above ln 2 = 0.693" in found.message
    assert found.advice[0].endswith(f"the first loss of the log is {high[0]:.3g}.")
    at = np.arange(10, 101, 10)
    (found,) = fires(check, pairs(loss=levels((0.69, 100)), val__loss=Series(at, np.linspace(0.8, 0.76, 10))))
    assert "the loss of val ends at 0.764" in found.message
    for quiet in (
        pairs(loss=high, val__loss=None, nll_loss=np.full(100, 0.2), reward_accuracy=as_right),
        pairs(loss=high + 0.6, val__loss=None, reward_accuracy=as_right),
        pairs(loss=high, val__loss=None, method="orpo", reward_accuracy=as_right),
        pairs(loss=levels((0.7, 100), noise=0.1), val__loss=None),
        pairs(loss=high),
        pairs(val__loss=Series(at, np.linspace(0.6, 0.9, 10))),
    ):
        assert fires(check, quiet) == []


def test_equal_answers_are_an_error():
    (found,) = fires(check, pairs(reward_margin=np.zeros(100), loss=np.full(100, LN2)))
    assert found.severity == Severity.ERROR


def test_silent_where_it_grows_in_the_training_or_in_the_evaluation():
    for seed in range(10):
        assert fires(check, pairs(seed=seed)) == []
    flat = {"reward_margin": levels((0.1, 100), seed=3), "loss": levels((0.66, 100), seed=4), "reward_accuracy": None}
    assert fires(check, pairs(**flat, val__reward_margin=series(np.linspace(0.1, 1, 10), every=10))) == []


@pytest.mark.parametrize("seed", range(5))
def test_noise_that_may_hide_growth_is_told(seed):
    noisy = 0.05 * np.arange(25) / 25 + np.random.default_rng(seed).normal(0, 0.2, 25)
    made = pairs(
        25,
        reward_margin=noisy,
        loss=np.linspace(0.75, 0.70, 25) + np.random.default_rng(seed).normal(0, 0.03, 25),
        reward_accuracy=None,
        val__loss=None,
    )
    assert (
        all(isinstance(said, NotChecked) for said in check.look(made)) or made["reward_margin"].values[-5:].mean() < 0.1
    )


def test_a_log_of_losses_alone_is_judged_by_them():
    alone = {"reward_margin": None, "reward_accuracy": None, "chosen_logp": None, "rejected_logp": None}
    (found,) = fires(check, pairs(loss=np.linspace(LN2, LN2 - 0.003, 40), n=40, **alone))
    assert "stays at ln 2" in found.message
    (found,) = fires(check, pairs(loss=levels((0.75, 40), seed=4), n=40, **alone))
    assert "does not fall" in found.message
    for seed in range(10):
        assert fires(check, pairs(seed=seed, **alone)) == []


def test_equal_ends_are_said_once():
    (found,) = fires(check, pairs(loss=np.ones(100), reward_margin=None))
    assert found.message == "The loss of the preferences is 1 at the start and at the end: it does not fall."


@pytest.mark.parametrize("seed", range(10))
def test_silent_on_a_loss_with_a_margin_to_reach(seed):
    """That of SimPO is -log sigmoid(margin - 0.5), 0.974 before the first update."""
    rng, share = np.random.default_rng(seed), np.linspace(0, 1, 60)
    margin = 0.3 * share + rng.normal(0, 0.02, 60)
    right = 0.54 + 0.15 * share + rng.normal(0, 0.02, 60)
    loss = np.log1p(np.exp(0.5 - margin)) + rng.normal(0, 0.01, 60)
    assert fires(check, pairs(60, reward_margin=margin, reward_accuracy=right, loss=loss, val__loss=None)) == []
