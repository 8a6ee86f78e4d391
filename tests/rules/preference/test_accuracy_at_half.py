"""Pairs that are ranked as by chance."""

import numpy as np

from lmdiag.reports.evidence import evidence
from lmdiag.rules.preference.accuracy_at_half import check
from tests.rules.curves import fires, levels, pairs, series


def test_fires_at_one_half_and_below():
    (found,) = fires(check, pairs(reward_accuracy=levels((0.5, 100)), val__reward_accuracy=None))
    assert "no more than by chance" in found.message
    (found,) = fires(check, pairs(reward_accuracy=levels((0.3, 100)), val__reward_accuracy=None))
    assert "fewer than by chance" in found.message


def test_fires_where_only_the_training_pairs_are_learned():
    (found,) = fires(check, pairs(val__reward_accuracy=series(levels((0.51, 10)), every=10)))
    assert "learned by heart" in found.message
    assert found.metric == "val/reward_accuracy"


def test_silent_where_either_knows_more():
    for seed in range(10):
        assert fires(check, pairs(seed=seed)) == []
    assert fires(check, pairs(reward_accuracy=levels((0.5, 100)))) == []
    assert fires(check, pairs(reward_accuracy=np.r_[np.zeros(20), levels((0.7, 80))], val__reward_accuracy=None)) == []


def test_a_loss_that_falls_all_the_same_is_told_only_where_it_falls():
    flat, falls = np.full(100, 0.69) + np.tile([-0.01, 0.01], 50), np.linspace(0.69, 0.3, 100)
    for loss, told in ((flat, False), (falls, True)):
        made = pairs(reward_accuracy=levels((0.5, 100)), val__reward_accuracy=None, loss=loss)
        (found,) = fires(check, made)
        assert any("loss falls" in text for text in found.advice) == told


def test_no_name_stands_twice_in_the_evidence():
    (found,) = fires(check, pairs(reward_accuracy=levels((0.5, 100)), val__reward_accuracy=None))
    shown = [name for name, _ in evidence(found)]
    assert len(shown) == len(set(shown))
