"""A policy that writes at random."""

import numpy as np

from lmdiag.finding import Severity
from lmdiag.rules.reinforcement.entropy_explosion import check
from tests.rules.curves import fires, levels, policy


def test_fires_and_is_an_error_where_the_reward_falls():
    entropy = levels((0.5, 60), (6.0, 40))
    (found,) = fires(check, policy(entropy=entropy))
    assert (found.severity, found.first_step) == (Severity.WARNING, found.first_step)
    (found,) = fires(check, policy(entropy=entropy, reward=np.linspace(0.6, 0.1, 100)))
    assert found.severity == Severity.ERROR


def test_silent_on_a_moderate_rise():
    assert fires(check, policy(entropy=np.linspace(0.5, 1.2, 100))) == []
    assert fires(check, policy()) == []


def test_rounding_below_zero_hides_nothing():
    entropy = levels((0.5, 60), (6.0, 40))
    entropy[5] = -1e-9
    assert len(fires(check, policy(entropy=entropy))) == 1
