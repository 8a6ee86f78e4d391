"""Responses that are cut off at the limit."""

import numpy as np

from lmdiag.finding import NotChecked
from lmdiag.rules.reinforcement.truncated_responses import check
from tests.rules.curves import fires, levels, policy, series


def test_fires_where_most_are_cut_off_and_names_the_limit():
    (found,) = fires(check, policy(truncated_share=levels((0.8, 100)), response_length_max=np.full(100, 256.0)))
    assert "cut off at the limit of 256 tokens" in found.message
    assert "from 256 to 512 tokens" in found.advice[0]


def test_silent_where_training_leaves_the_limit():
    assert fires(check, policy(truncated_share=np.linspace(1, 0.1, 100))) == []
    assert fires(check, policy()) == []


def test_the_mean_length_alone_shows_a_limit_that_all_reach():
    lengths = np.r_[np.linspace(150, 199, 40), np.full(60, 200.0)]
    (found,) = fires(check, policy(truncated_share=None, response_length=lengths))
    assert (found.metric, found.evidence["limit"]) == ("response_length", 200)
    assert fires(check, policy(truncated_share=None, response_length=lengths[::-1])) == []
    assert [type(said) for said in check.look(policy(truncated_share=None))] == [NotChecked]


def test_answers_of_one_length_are_not_cut_off():
    for length in (1.0, 3.0):
        assert fires(check, policy(truncated_share=None, response_length=np.full(100, length))) == []


def test_percent_are_read_as_shares():
    assert fires(check, policy(truncated_share=levels((3.0, 100)))) == []
    (found,) = fires(check, policy(truncated_share=levels((80.0, 100))))
    assert "80% of the responses are cut off" in found.message


def test_no_larger_limit_where_the_reward_pays_for_length():
    evaluated = series(np.full(10, 0.3), every=10)
    (found,) = fires(check, policy(truncated_share=levels((0.8, 100)), val__reward=evaluated))
    assert "pays for length" in found.message
    assert not any("Raise the limit" in said for said in found.advice)
