"""One side of the preferences that is never there."""

from lmdiag.rules.preference.missing_answers import check
from tests.rules.curves import fires, pairs


def test_fires_where_one_side_is_missing():
    (found,) = fires(check, pairs(chosen_logp=None, reward_margin=None, reward_accuracy=None, method="kto"))
    assert found.message == "The log measures rejected answers only: no record holds a preferred one."


def test_silent_where_both_or_none_are_there():
    assert fires(check, pairs()) == []
    assert fires(check, pairs(chosen_logp=None, rejected_logp=None)) == []


def test_a_margin_or_an_accuracy_proves_both():
    assert fires(check, pairs(chosen_logp=None, reward_accuracy=None)) == []
    assert fires(check, pairs(rejected_logp=None, reward_margin=None)) == []
