"""A reward that does not rise."""

import numpy as np
import pytest

from lmdiag.finding import NotChecked
from lmdiag.rules.reinforcement.flat_reward import check
from tests.rules.curves import fires, levels, policy, series


@pytest.mark.parametrize("reward", [np.zeros(40), levels((0.3, 100), noise=0.05, seed=3), np.linspace(0.6, 0.4, 60)])
def test_fires_where_nothing_is_gained(reward):
    (found,) = fires(check, policy(len(reward), reward=reward))
    assert found.message.startswith("The reward ")


def test_a_constant_reward_points_to_the_function():
    (found,) = fires(check, policy(40, reward=np.zeros(40), zero_std_share=np.ones(40)))
    assert "is 0 in every record" in found.message
    assert "by hand" in found.advice[0]
    assert "100% of the groups have equal rewards" in found.advice[1]


def test_silent_where_it_rises_in_the_training_or_in_the_evaluation():
    for seed in range(20):
        assert fires(check, policy(seed=seed)) == []
    flat = levels((0.3, 100), noise=0.05, seed=3)
    assert fires(check, policy(reward=flat, val__reward=series(np.linspace(0.2, 0.5, 10), every=10))) == []
    assert fires(check, policy(reward=np.r_[np.linspace(0.1, 0.6, 10), levels((0.6, 90))])) == []


def test_refuses_a_start_at_the_bound_and_a_late_start():
    (said,) = check.look(
        policy(reward=np.clip(levels((0.97, 100), noise=0.01, seed=3), 0, 1)),
    )
    assert isinstance(said, NotChecked)
    late = series(levels((0.3, 100), noise=0.05, seed=3), first=9000)
    assert [type(said) for said in check.look(policy(reward=late))] == [NotChecked]


def test_a_rate_that_is_not_finite_is_not_advised():
    (found,) = fires(check, policy(reward=levels((0.3, 100), noise=0.05, seed=3), lr=np.full(100, np.nan)))
    assert not any("nan" in said for said in found.advice)


def test_the_luckiest_tenth_of_a_noisy_run_is_no_rise():
    found = [fires(check, policy(200, reward=levels((0.5, 200), noise=0.15, seed=seed))) for seed in range(60)]
    assert sum(map(bool, found)) >= 55
