"""A policy that always writes the same."""

import numpy as np

from lmdiag.finding import NotChecked, Severity
from lmdiag.rules.reinforcement.entropy_collapse import check
from tests.rules.curves import fires, levels, policy


def test_fires_where_the_entropy_is_gone():
    (found,) = fires(check, policy(entropy=levels((1.5, 20), (0.01, 80), noise=0.002), reward=levels((0.3, 100))))
    assert (found.severity or check.severity) == Severity.WARNING
    assert 19 <= found.first_step <= 23


def test_a_solved_task_is_information_unless_nothing_is_left():
    fallen = np.geomspace(3.0, 0.15, 100)
    solved = np.linspace(0.7, 4.7, 100)
    (found,) = fires(check, policy(entropy=fallen, reward=solved))
    assert found.severity == Severity.INFO
    (found,) = fires(check, policy(entropy=np.geomspace(3.0, 0.001, 100), reward=solved))
    assert found.severity == Severity.WARNING


def test_silent_on_the_usual_decline():
    assert fires(check, policy(entropy=np.linspace(0.33, 0.063, 100))) == []
    assert fires(check, policy(entropy=np.linspace(0.05, 0.03, 100))) == []


def test_refuses_entropies_below_zero():
    assert [type(said) for said in check.look(policy(entropy=np.linspace(1, -3, 100)))] == [NotChecked]


def test_rounding_below_zero_hides_nothing():
    entropy = np.r_[np.ones(30), np.zeros(69), -1e-9]
    assert len(fires(check, policy(entropy=entropy))) == 1
