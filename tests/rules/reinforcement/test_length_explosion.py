"""Responses that become very long."""

import numpy as np

from lmdiag.finding import Severity
from lmdiag.rules.reinforcement.length_explosion import check
from tests.rules.curves import fires, levels, policy

LONGER = np.linspace(200, 1800, 100)


def test_fires_where_length_buys_nothing_or_is_cut_off():
    (found,) = fires(check, policy(response_length=LONGER, reward=levels((0.3, 100), seed=3)))
    assert found.severity == Severity.WARNING
    (found,) = fires(check, policy(response_length=LONGER, truncated_share=np.linspace(0, 0.9, 100)))
    assert found.severity == Severity.WARNING
    assert "are cut off at the end" in found.message


def test_reasoning_that_grows_with_the_reward_is_information():
    (found,) = fires(check, policy(response_length=LONGER))
    assert found.severity == Severity.INFO


def test_silent_on_moderate_growth_and_on_responses_that_shrink():
    assert fires(check, policy(response_length=np.linspace(200, 420, 100))) == []
    assert fires(check, policy(response_length=np.linspace(300, 2, 100))) == []
