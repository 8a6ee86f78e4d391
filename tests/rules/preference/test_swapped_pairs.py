"""Training and evaluation that are ordered the opposite way."""

import numpy as np

from lmdiag.finding import NotChecked
from lmdiag.rules.preference.swapped_pairs import check
from tests.rules.curves import fires, pairs, series


def test_fires_where_the_evaluation_learns_the_opposite():
    made = pairs(
        val__reward_accuracy=series([0.3, 0.1, 0.05, 0.02], every=25), val__loss=series([0.9, 1.1, 1.4, 1.8], every=25)
    )
    (found,) = fires(check, made)
    assert "the evaluation loss rose from 0.9 to 1.8, above ln 2" in found.message


def test_silent_at_one_half_and_without_evaluations():
    assert fires(check, pairs(val__reward_accuracy=series([0.5, 0.45, 0.5, 0.48], every=25))) == []
    assert (
        fires(check, pairs(reward_accuracy=np.full(100, 0.5), val__reward_accuracy=series([0.3, 0.1], every=50))) == []
    )
    made = pairs(val__reward_accuracy=None)
    assert [type(said) for said in check.look(made)] == [NotChecked]
