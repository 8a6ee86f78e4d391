"""A reward that falls far below its level and stays there."""

import numpy as np
import pytest

from lmdiag.finding import Severity
from lmdiag.rules.reinforcement.reward_collapse import check
from tests.rules.curves import fires, levels, policy


def test_fires_on_a_fall_that_stays():
    (found,) = fires(check, policy(reward=levels((0.2, 20), (0.7, 40), (0.05, 40))))
    assert abs(found.first_step - 61) <= 3
    assert "stays there" in found.message
    assert "kl" in found.evidence


def test_fires_on_negative_rewards():
    assert len(fires(check, policy(reward=levels((-6, 20), (-2, 40), (-9, 40), noise=0.3)))) == 1


def test_silent_on_a_dip_that_comes_back_and_on_noise():
    assert fires(check, policy(reward=levels((0.2, 20), (0.7, 30), (0.3, 10), (0.72, 40)))) == []
    for seed in range(20):
        assert fires(check, policy(seed=seed)) == []
        assert fires(check, policy(reward=levels((0.5, 100), noise=0.2, seed=seed))) == []


def test_silent_on_a_small_loss():
    assert fires(check, policy(reward=np.r_[np.linspace(0.2, 0.8, 80), np.full(20, 0.74)])) == []


def test_silent_on_a_reward_that_never_changes():
    for level in (0.0, 0.5):
        assert fires(check, policy(reward=np.full(100, level))) == []


def test_a_large_fall_shortly_before_the_end_is_seen():
    for young in (4, 7, 9):
        made = policy(reward=levels((0.2, 20), (0.7, 80 - young), (0.05, young)))
        (found,) = fires(check, made)
        assert "(median of the last 4 records)" in found.message
        assert abs(found.first_step - (101 - young)) <= 2


def test_a_few_low_records_at_the_end_are_no_collapse():
    for seed in range(100):
        assert fires(check, policy(30, reward=levels((0.5, 30), noise=0.25, seed=seed))) == []
    assert fires(check, policy(reward=levels((0.2, 20), (0.7, 76), (0.45, 4)))) == []


def test_a_small_gain_that_is_lost_again_is_a_warning():
    (found,) = fires(check, policy(400, reward=levels((0.59, 100), (0.76, 200), (0.6, 100), noise=0.03)))
    assert found.severity is Severity.WARNING
    assert fires(check, policy(400, reward=levels((0.59, 100), (0.76, 200), (0.7, 100), noise=0.03))) == []


def test_few_values_that_repeat_are_no_quiet_curve():
    """A reward of one right answer in ten stands out among equal ones as a level would, in a window of three records."""
    alarms = 0
    for seed in range(200):
        rewards = np.random.default_rng(seed).choice([0, 0.1, 0.1, 0.1, 0.2, 0.44], 30)
        alarms += len(fires(check, policy(30, reward=rewards)))
    assert alarms <= 4


def test_a_level_that_the_last_records_reach_again_is_not_lost():
    fallen = levels((0.1, 10), (0.4, 10), (0.1, 20), noise=0.01)
    assert len(fires(check, policy(40, reward=fallen))) == 1
    back = fallen.copy()
    back[[33, 37]] = 0.45
    assert fires(check, policy(40, reward=back)) == []


def test_a_steady_fall_from_the_start_needs_no_highest_level():
    noise = [np.random.default_rng(seed).normal(0, 0.3, 60) for seed in range(20)]
    found = [fires(check, policy(60, reward=np.linspace(-0.1, -1.1, 60) + made)) for made in noise]
    assert sum(map(bool, found)) >= 16


@pytest.mark.parametrize(
    ("end", "severities"),
    [(0.56, []), (0.5, []), (0.42, [Severity.WARNING]), (0.34, [Severity.ERROR])],
)
def test_a_fall_grows_from_nothing_to_a_warning_to_an_error(end, severities):
    rewards = np.r_[np.linspace(0.25, 0.62, 120), np.linspace(0.62, end, 40), np.full(40, end)]
    found = fires(check, policy(200, reward=rewards + np.random.default_rng(0).normal(0, 0.01, 200)))
    assert [said.severity for said in found] == severities
