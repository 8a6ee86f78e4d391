"""Records without a reward, and functions that never answer."""

import numpy as np

from lmdiag.account import EMPTY, Account, Column
from lmdiag.finding import NotChecked, Severity
from lmdiag.rules.reinforcement.missing_reward import check
from tests.rules.curves import fires, policy, series


def empty(*names):
    return Account(columns=tuple(Column(name, EMPTY) for name in names))


def test_fires_where_rewards_end():
    (found,) = fires(check, policy(40, reward=series(np.linspace(0.1, 0.3, 15))))
    assert (found.severity, found.first_step, found.evidence["records"]) == (None, 16, 25)
    assert "No response has a reward from step 16 on" in found.message


def test_fires_where_no_record_has_one():
    (found,) = fires(check, policy(40, reward=None, account=empty("reward", "reward_std")))
    assert found.message == "The reward is null in every record: nothing is trained."


def test_a_function_that_never_answers_is_a_warning():
    (found,) = fires(check, policy(40, account=empty("rewards/format/mean", "rewards/format/std")))
    assert (found.severity, found.metric) == (Severity.WARNING, "rewards/format")


def test_a_function_that_stops_is_a_warning():
    (found,) = fires(check, policy(40, rewards__format=np.ones(20)))
    assert "format returned nothing from step 21 on" in found.message


def test_silent_where_responses_are_used_several_times():
    assert fires(check, policy(40, reward=series(np.linspace(0.1, 0.3, 10), every=4))) == []
    assert fires(check, policy(40)) == []


def test_says_where_the_log_has_no_reward():
    assert [type(said) for said in check.look(policy(40, reward=None))] == [NotChecked]
