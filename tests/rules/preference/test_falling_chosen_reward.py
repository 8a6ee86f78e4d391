"""Preferred answers whose reward falls far below 0."""

from dataclasses import replace

import numpy as np
import pytest

from lmdiag.finding import NotChecked, Severity
from lmdiag.rules.preference.falling_chosen_reward import check
from tests.rules.curves import fires, levels, pairs

FALLEN = np.linspace(0.0, -9.0, 100)


def test_fires_where_more_is_lost_than_gained():
    (found,) = fires(check, pairs(chosen_reward=FALLEN))
    assert (found.severity, found.metric) == (Severity.WARNING, "chosen_reward")
    assert 50 <= found.first_step <= 60
    assert "if beta is 0.1" in found.message
    (found,) = fires(check, pairs(chosen_reward=FALLEN, reward_margin=np.linspace(0, 20, 100)))
    assert found.severity is Severity.INFO


def test_a_policy_that_is_gone_after_the_first_record():
    (found,) = fires(check, pairs(chosen_reward=np.r_[0.0, levels((-11, 99), noise=1.0)]))
    assert found.first_step == 2
    assert found.evidence["start"] == 0.0


def test_beta_says_what_a_reward_is_in_nats():
    (found,) = fires(check, replace(pairs(chosen_reward=FALLEN), config={"config": {"beta": 0.1}}))
    assert "nats of their log-probability at a beta of 0.1" in found.message
    assert found.evidence["nats"] == pytest.approx(-10 * found.evidence["end"])
    assert fires(check, replace(pairs(chosen_reward=FALLEN), config={"config": {"beta": 0.5}})) == []
    assert len(fires(check, replace(pairs(chosen_reward=FALLEN / 10), config={"config": {"beta": 0.01}}))) == 1


def test_silent_on_the_usual_fall_and_on_a_level_that_was_there_before():
    for seed in range(10):
        noise = np.random.default_rng(seed).normal(0, 0.4, 100)
        assert fires(check, pairs(seed=seed, chosen_reward=np.linspace(0, -2.5, 100) + noise)) == []
        assert fires(check, pairs(seed=seed, chosen_reward=levels((-7, 100), noise=1.0, seed=seed))) == []


@pytest.mark.parametrize("method", ["orpo", "simpo", "reward-model"])
def test_rewards_that_are_no_distance_from_a_reference_are_not_judged(method):
    assert [type(said) for said in check.look(pairs(method=method, chosen_reward=FALLEN))] == [NotChecked]
