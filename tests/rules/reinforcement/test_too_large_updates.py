"""Updates that are mostly clipped."""

import numpy as np

from lmdiag.finding import NotChecked, Severity
from lmdiag.rules.reinforcement.too_large_updates import check
from tests.rules.curves import fires, levels, policy


def test_fires_on_clipped_tokens_and_on_a_large_divergence():
    (found,) = fires(check, policy(clip_ratio=levels((0.1, 40), (0.5, 60))))
    assert (found.severity, found.metric) == (Severity.WARNING, "clip_ratio")
    (found,) = fires(check, policy(clip_ratio=None, update_kl=levels((4.0, 100))))
    assert "One update moves the policy by" in found.message


def test_a_short_stretch_is_information():
    (found,) = fires(check, policy(clip_ratio=levels((0.5, 12), (0.05, 88))))
    assert found.severity == Severity.INFO


def test_silent_on_healthy_runs():
    assert fires(check, policy()) == []
    assert fires(check, policy(clip_ratio=np.full(100, 0.15))) == []
    assert [type(said) for said in check.look(policy(clip_ratio=None))] == [NotChecked]


def test_percent_are_read_as_shares():
    assert fires(check, policy(clip_ratio=levels((8.0, 100)))) == []
    (found,) = fires(check, policy(clip_ratio=levels((50.0, 100), noise=0)))
    assert "50% of the tokens are clipped" in found.message
