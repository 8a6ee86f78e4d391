"""A loss beside the one that is judged stops being finite."""

import numpy as np

from lmdiag.finding import NotChecked
from lmdiag.rules.numerics.non_finite_part import check
from tests.rules.curves import falling, fires, policy, run


def until(n, finite, bad=np.nan):
    values = falling(n)
    values[finite:] = bad
    return values


def test_a_part_that_breaks_for_good_is_a_warning():
    found = fires(check, run(loss=falling(100), aux_loss=until(100, 60), **{"Gen Loss Total": until(100, 80, np.inf)}))
    assert [(f.metric, f.first_step, f.last_step) for f in found] == [("aux_loss", 61, 100)]
    assert found[0].evidence == {"records": 40, "share": 0.4}
    assert found[0].message == (
        "aux_loss stops being finite at step 61: its last 40 of 100 values are NaN or infinite, while loss is finite to the end; "
        "so does Gen Loss Total."
    )


def test_a_part_of_an_evaluation_counts_too():
    (found,) = fires(check, run(loss=falling(100), **{"val/aux_loss": until(100, 97)}))
    assert found.metric == "val/aux_loss"


def test_silent_where_values_come_back_or_there_never_was_one():
    often = falling(100)
    often[::3] = np.nan
    assert fires(check, run(loss=falling(100), ctc_loss=often)) == []
    assert fires(check, run(loss=falling(100), aux_loss=np.full(100, np.nan))) == []
    assert fires(check, run(loss=falling(100), aux_loss=until(100, 98))) == []


def test_other_rules_tell_the_rest():
    assert fires(check, run(loss=until(100, 60), aux_loss=until(100, 60))) == []
    assert fires(check, run(loss=falling(100), **{"val/loss": until(100, 60)})) == []
    assert fires(check, run(loss=falling(100), loss_scale=until(100, 60), kl=until(100, 60))) == []
    policy_loss = until(100, 60)
    assert [type(said) for said in check.look(policy(policy_loss=policy_loss))] == [NotChecked]
