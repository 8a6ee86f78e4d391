"""Training that changes nothing."""

import numpy as np

from lmdiag.rules.reinforcement.frozen_policy import check
from tests.rules.curves import fires, levels, policy


def test_fires_on_gradients_of_zero_where_rewards_differ():
    (found,) = fires(check, policy(grad_norm=np.zeros(100)))
    assert (
        found.message
        == "The gradient norm is exactly 0 in 100% of the records whose rewards differ: the policy never changes."
    )


def test_fires_on_a_divergence_of_zero_where_the_reward_does_not_rise():
    (found,) = fires(check, policy(kl=np.zeros(100), reward=levels((0.3, 100), seed=3), grad_norm=None))
    assert "divergence from the reference is 0" in found.message


def test_silent_on_equal_rewards_without_a_reference_and_on_healthy_runs():
    assert fires(check, policy(grad_norm=np.zeros(100), reward_std=np.zeros(100))) == []
    assert fires(check, policy(kl=np.zeros(100))) == []
    assert fires(check, policy()) == []


def test_silent_where_no_reward_differs():
    constant = policy(kl=np.zeros(100), reward=np.zeros(100), reward_std=np.zeros(100))
    assert fires(check, constant) == []


def test_a_gradient_refutes_a_divergence_that_is_rounded_to_zero():
    assert fires(check, policy(kl=np.zeros(100), reward=levels((0.3, 100), seed=3))) == []
