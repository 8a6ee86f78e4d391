"""What a policy measures beside its loss is not finite."""

import numpy as np

from lmdiag.finding import NotChecked, Severity
from lmdiag.rules.numerics.non_finite_metric import check
from tests.rules.curves import falling, fires, pairs, policy, run


def broken(values, *places):
    values = values.copy()
    values[list(places)] = np.nan
    return values


def test_nan_to_the_end_is_an_error_and_one_value_a_warning():
    kl = policy()["kl"].values
    (found,) = fires(check, policy(kl=broken(kl, *range(60, 100)), reward=broken(policy()["reward"].values, 70)))
    assert (found.severity, found.first_step, found.metric) == (Severity.ERROR, 61, "kl")
    assert "and stays so; so is reward" in found.message
    (found,) = fires(check, policy(kl=broken(kl, 30)))
    assert found.severity == Severity.WARNING


def test_margins_count_too():
    (found,) = fires(check, pairs(reward_margin=broken(pairs()["reward_margin"].values, 20, 40, 60)))
    assert (found.severity, found.metric) == (Severity.ERROR, "reward_margin")


def test_silent_on_healthy_runs_and_refuses_others():
    assert fires(check, policy()) == []
    assert [type(said) for said in check.look(run(loss=falling(50), kl=np.full(50, np.nan)))] == [NotChecked]


def test_measures_that_may_be_undefined_are_a_warning_and_mismatches_an_error():
    nan = np.full(100, np.nan)
    (found,) = fires(check, policy(explained_variance=nan))
    assert (found.severity, found.metric) == (Severity.WARNING, "explained_variance")
    (found,) = fires(check, policy(explained_variance=nan, logp_mismatch=np.r_[np.ones(60), np.full(40, np.inf)]))
    assert (found.severity, found.metric) == (Severity.ERROR, "logp_mismatch")
