"""Rewards that rise in training alone, or beside answers that get worse."""

import numpy as np

from lmdiag.finding import Severity
from lmdiag.rules.reinforcement.reward_hacking import check
from tests.rules.curves import fires, levels, policy, series

RISING = np.linspace(0.2, 0.9, 100) + np.random.default_rng(0).normal(0, 0.02, 100)


def evaluated(values):
    return series(np.asarray(values, float), every=10)


def test_an_evaluation_that_stays_where_it_was():
    made = policy(reward=RISING, val__reward=evaluated([0.21, 0.2, 0.22, 0.21, 0.2, 0.2, 0.22, 0.21, 0.2, 0.21]))
    (found,) = fires(check, made)
    assert (found.severity, found.metric) == (None, "val/reward")
    assert "went from 0.21 to 0.205 (median of the last two), while that of the training rose from" in found.message


def test_an_evaluation_that_falls_from_its_best():
    made = policy(reward=RISING, val__reward=evaluated([0.2, 0.4, 0.6, 0.6, 0.61, 0.6, 0.4, 0.2, 0.1, 0.1]))
    (found,) = fires(check, made)
    assert "The reward of val fell from 0.6 around step 21 to 0.1, while that of the training rose on" in found.message
    assert found.first_step == 21


def test_the_accuracy_of_an_evaluation_that_falls():
    falls = [0.4, 0.42, 0.45, 0.44, 0.4, 0.35, 0.3, 0.25, 0.2, 0.19]
    (found,) = fires(check, policy(reward=RISING, val__accuracy=evaluated(falls)))
    assert (found.severity, found.metric) == (None, "val/accuracy")
    assert "The accuracy of val fell from 0.44 around step" in found.message
    assert "while the reward of the training rose on" in found.message
    assert len(fires(check, policy(reward=20 * RISING, val__accuracy=evaluated(falls)))) == 1
    for other in ("test__accuracy", "val__reward"):
        follows = evaluated(np.linspace(0.3, 0.7, 10))
        assert fires(check, policy(reward=RISING, val__accuracy=evaluated(falls), **{other: follows})) == []


def test_an_accuracy_that_stays_or_falls_a_little_is_no_evidence():
    for accuracies in (np.full(10, 0.4), np.linspace(0.9, 0.85, 10), np.linspace(0.2, 0.7, 10)):
        assert fires(check, policy(reward=RISING, val__accuracy=evaluated(accuracies))) == []


def test_silent_where_the_evaluation_follows_or_its_noise_may_hide_it():
    rng = np.random.default_rng(1)
    follows = np.linspace(0.3, 0.5, 10)
    assert fires(check, policy(reward=RISING, val__reward=evaluated(follows))) == []
    assert fires(check, policy(reward=RISING, val__reward=evaluated(rng.normal(0.3, 0.15, 10)))) == []
    assert fires(check, policy(reward=RISING, val__reward=evaluated([0.2, 0.2, 0.2, 0.2]))) == []


def test_silent_where_the_gain_came_before_the_first_evaluation():
    early = np.r_[np.linspace(0.2, 0.9, 20), np.full(80, 0.9)] + np.random.default_rng(0).normal(0, 0.02, 100)
    late = series(np.full(8, 0.9), every=10, first=25)
    assert fires(check, policy(reward=early, val__reward=late)) == []


def test_silent_where_the_evaluation_gained_surely_on_another_scale():
    dear = np.linspace(-4, 0.6, 100) + np.random.default_rng(0).normal(0, 0.05, 100)
    gains = evaluated([0.54, 0.75, 0.75, 0.74, 0.75])
    assert fires(check, policy(reward=dear, val__reward=gains)) == []
    assert len(fires(check, policy(reward=dear, val__reward=evaluated([0.54, 0.55, 0.55, 0.54, 0.55])))) == 1


def test_one_evaluation_that_follows_is_enough():
    stays, follows = evaluated(np.full(10, 0.2)), evaluated(np.linspace(0.2, 0.9, 10))
    assert fires(check, policy(reward=RISING, hard__reward=stays, easy__reward=follows)) == []


def test_answers_that_get_worse_while_the_sum_rises():
    made = policy(reward=RISING, rewards__correctness__mean=levels((0.6, 40), (0.2, 60)))
    (found,) = fires(check, made)
    assert found.metric == "rewards/correctness/mean"
    assert "and its part correctness fell from 0.6" in found.message
    assert "longer" not in found.message
    grown = policy(
        reward=RISING,
        rewards__correctness__mean=levels((0.6, 40), (0.2, 60)),
        response_length=np.linspace(100, 300, 100),
    )
    assert "% longer" in fires(check, grown)[0].message


def test_another_part_may_fall():
    made = policy(reward=RISING, rewards__format__mean=levels((0.6, 40), (0.2, 60)))
    assert fires(check, made) == []


def test_few_healthy_policies_are_taken_for_it():
    """Evaluations that follow by a quarter or more, with noise that may last: 1 in 1,000 at most was the claim; of 200, none."""
    alarmed = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        n, count = int(rng.integers(30, 300)), int(rng.integers(5, 15))
        curve = np.linspace(0, 1, n) ** rng.uniform(0.3, 1)
        gain, at = rng.uniform(0.05, 0.8), np.linspace(0, n - 1, count).astype(int)
        noise = np.convolve(rng.normal(0, rng.uniform(0.01, 0.1) * gain, count + 1), [0.7, 0.7], "valid")
        made = policy(
            n,
            reward=0.2 + gain * curve + rng.normal(0, 0.1 * gain, n),
            val__reward=series(0.2 + rng.uniform(0.25, 1) * gain * curve[at] + noise, every=n // count),
        )
        alarmed += any((f.severity or Severity.WARNING) >= Severity.WARNING for f in fires(check, made))
    assert alarmed == 0
