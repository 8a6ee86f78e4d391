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


def frozen(**metrics):
    """A policy without a gradient norm that stands: its divergence is 0 and its measures only scatter."""
    stands = {"reward_std": 0.4, "response_length": 200.0, "entropy": 0.9}
    level = {name: value + levels((0.0, 100), seed=seed) for seed, (name, value) in enumerate(stands.items())}
    made = {"kl": np.zeros(100), "reward": levels((0.3, 100), seed=3), "grad_norm": None}
    return policy(**(level | made | metrics))


def test_fires_on_a_divergence_of_zero_where_nothing_moves():
    (found,) = fires(check, frozen())
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


def test_silent_where_rewards_or_lengths_move_without_a_reference():
    """Programs that keep no reference write its divergence as 0; a reward that settles early rises in ranks only."""
    settles = levels((0.3, 100), seed=3) - 0.4 * np.exp(-np.arange(100) / 10)
    shorter = np.linspace(400, 200, 100) + levels((0.0, 100), seed=4)
    assert fires(check, frozen(reward=settles)) == []
    assert fires(check, frozen(response_length=shorter)) == []


def test_policies_that_stand_are_seldom_taken_for_moving():
    told = [frozen(reward=levels((0.3, 100), seed=s), entropy=levels((0.9, 100), seed=900 + s)) for s in range(60)]
    assert sum(bool(fires(check, one)) for one in told) >= 54
