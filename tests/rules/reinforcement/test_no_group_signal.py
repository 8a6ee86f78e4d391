"""Groups of equal rewards."""

import numpy as np

from lmdiag.finding import NotChecked, Severity
from lmdiag.rules.reinforcement.no_group_signal import check
from tests.rules.curves import fires, levels, policy


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
