"""Sampler and trainer that do not agree."""

import numpy as np
import pytest

from lmdiag.finding import NotChecked
from lmdiag.rules.reinforcement.sampler_mismatch import check
from tests.rules.curves import fires, policy


@pytest.mark.parametrize(
    ("name", "high", "usual"),
    [("logp_mismatch", 0.3, 0.01), ("prob_mismatch", 0.1, 0.004), ("mismatch_kl", 0.2, 0.001)],
)
def test_fires_on_a_large_difference_and_is_silent_on_rounding(name, high, usual):
    (found,) = fires(check, policy(**{name: np.linspace(usual, high, 100)}))
    assert found.metric == name
    assert fires(check, policy(**{name: np.full(100, usual)})) == []


def test_refuses_a_log_that_does_not_compare():
    assert [type(said) for said in check.look(policy())] == [NotChecked]
