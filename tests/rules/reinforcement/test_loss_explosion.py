"""Losses of policies and of value functions that grow beyond what rewards explain."""

import numpy as np

from lmdiag.finding import NotChecked, Severity
from lmdiag.rules.reinforcement.loss_explosion import check
from tests.rules.curves import fires, levels, policy

RNG = np.random.default_rng(0)
BLOWS_UP = np.r_[np.full(50, 0.5), np.geomspace(0.5, 5e6, 50)] * np.exp(RNG.normal(0, 0.2, 100))


def test_a_value_loss_that_explodes():
    (found,) = fires(check, policy(value_loss=BLOWS_UP))
    assert (found.severity, found.metric) == (Severity.WARNING, "value_loss")
    assert "The loss of the value function grew from a size of 0.5" in found.message
    (found,) = fires(check, policy(value_loss=BLOWS_UP, reward=np.linspace(0.7, 0.1, 100)))
    assert found.severity == Severity.ERROR


def test_a_policy_loss_that_is_a_million_times_as_large_from_some_step_on():
    loss = RNG.normal(0, 0.02, 100)
    loss[60:] *= 1e6
    (found,) = fires(check, policy(loss=loss))
    assert found.metric == "loss"
    assert abs(found.first_step - 61) <= 6


def test_one_that_is_so_from_the_start_is_said():
    (found,) = fires(check, policy(loss=RNG.normal(0, 0.02, 100) * 1e6))
    assert found.severity == Severity.INFO
    assert "it is a sum, or its advantages are not normalised" in found.message


def test_silent_on_losses_that_rise_or_change_sign_and_on_rewards_that_grow():
    assert fires(check, policy()) == []
    assert fires(check, policy(loss=np.linspace(-0.3, 0.9, 100))) == []
    rewards = np.linspace(0.1, 40, 100)
    assert fires(check, policy(reward=rewards, value_loss=0.05 + (rewards / 2) ** 2)) == []
    assert fires(check, policy(value_loss=levels((9, 20), (0.4, 80), noise=0.05))) == []
    single = np.where(np.arange(100) == 50, 1e6, 0.1)
    assert fires(check, policy(value_loss=single)) == []


def test_a_log_without_a_loss_is_not_checked():
    assert [type(said) for said in check.look(policy(loss=None))] == [NotChecked]
