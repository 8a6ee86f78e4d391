"""Groups of equal rewards."""

import numpy as np

from lmdiag.finding import NotChecked, Severity
from lmdiag.rules.reinforcement.no_group_signal import check
from tests.rules.curves import fires, levels, policy, series


def test_fires_where_most_groups_are_equal():
    (found,) = fires(check, policy(zero_std_share=levels((0.9, 100)), reward=levels((0.1, 100), seed=3)))
    assert found.severity == Severity.WARNING
    assert "90% of the groups have equal rewards" in found.message


def test_the_spread_alone_is_enough():
    spread = np.zeros(100)
    (found,) = fires(check, policy(zero_std_share=None, reward_std=spread, reward=levels((0.1, 100), seed=3)))
    assert found.metric == "reward_std"


def test_a_solved_task_is_information():
    (found,) = fires(
        check, policy(zero_std_share=np.linspace(0.2, 1, 100) ** 0.3, reward=np.linspace(0.2, 1, 100) ** 0.3)
    )
    assert found.severity == Severity.INFO


def test_silent_on_healthy_runs_and_without_a_spread():
    assert fires(check, policy()) == []
    made = policy(zero_std_share=None, reward_std=None)
    assert [type(said) for said in check.look(made)] == [NotChecked]


def test_a_risen_reward_far_below_its_bound_is_not_a_solved_task():
    made = policy(zero_std_share=levels((0.85, 100)), reward=np.linspace(0.01, 0.1, 100))
    (found,) = fires(check, made)
    assert found.severity == Severity.WARNING
    assert "solved" not in found.message


def test_the_highest_reward_of_a_response_is_a_bound():
    equal, rising = levels((0.9, 100)), np.linspace(1, 10, 100)
    (found,) = fires(check, policy(zero_std_share=equal, reward=rising, reward_max=np.full(100, 10.0)))
    assert found.severity == Severity.INFO
    (found,) = fires(check, policy(zero_std_share=equal, reward=rising, reward_max=np.full(100, 20.0)))
    assert found.severity == Severity.WARNING


def test_rewards_that_never_differ_are_an_error():
    (found,) = fires(check, policy(zero_std_share=np.ones(100), reward=np.zeros(100)))
    assert found.severity == Severity.ERROR
    assert "nothing can be learned" in found.message


def test_a_reward_that_rises_in_training_alone_is_not_a_solved_task():
    evaluated = series(np.full(10, 0.3), every=10)
    (found,) = fires(
        check, policy(zero_std_share=levels((0.9, 100)), reward=np.linspace(0.2, 1, 100), val__reward=evaluated)
    )
    assert found.severity == Severity.WARNING
    assert "rises in training alone: it pays for length" in found.message


def test_percent_are_read_as_shares():
    assert fires(check, policy(zero_std_share=levels((5.0, 100), noise=0.5))) == []
    (found,) = fires(check, policy(zero_std_share=levels((90.0, 100)), reward=levels((0.1, 100), seed=3)))
    assert "90% of the groups have equal rewards" in found.message
    assert [type(said) for said in check.look(policy(zero_std_share=np.full(100, 120.0)))] == [NotChecked]


def test_the_onset_is_where_the_groups_become_equal():
    (found,) = fires(
        check, policy(200, zero_std_share=levels((0.1, 90), (0.95, 110)), reward=levels((0.1, 200), seed=3))
    )
    assert found.first_step == 91
