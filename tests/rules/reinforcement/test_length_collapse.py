"""Responses that collapse to a few tokens."""

import numpy as np

from lmdiag.finding import Severity
from lmdiag.rules.reinforcement.length_collapse import check
from tests.rules.curves import fires, policy

SHORTER = np.linspace(300, 2, 100)


def test_fires_on_responses_of_a_few_tokens():
    (found,) = fires(check, policy(response_length=SHORTER, reward=np.linspace(0.5, 0.2, 100)))
    assert found.severity == Severity.WARNING
    assert "shrank from 286 to 31 tokens" in found.message
    assert "while the reward does not rise" in found.message
    assert "is it an answer?" in found.advice[0]


def test_short_answers_that_are_paid_for_are_information():
    (found,) = fires(check, policy(response_length=SHORTER))
    assert found.severity == Severity.INFO


def test_silent_on_answers_that_become_shorter_and_on_short_ones():
    assert fires(check, policy(response_length=np.linspace(300, 100, 100))) == []
    assert fires(check, policy(response_length=np.linspace(12, 1, 100))) == []
    assert fires(check, policy(response_length=np.linspace(200, 1800, 100))) == []
