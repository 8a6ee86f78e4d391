"""A run that diverged before its first record is found by the evaluation before it, or by that record; sums and overfitting are not."""

import numpy as np
import pytest

from lmdiag.finding import NotChecked, Severity
from lmdiag.rules.divergence.early_divergence import check
from lmdiag.run import Series
from tests.rules.curves import fires, healthy, run, series
from tests.truth.case import cases
from tests.truth.evidence import untrue_evidence

AT = np.arange(0, 5001, 1000)


def logged(losses, evaluations):
    """A run with a record every 100 steps from step 100 on, and an evaluation every 1,000 from step 0 on."""
    noise = np.random.default_rng(0).normal(0, 0.1, 50)
    return run(loss=series(losses + noise, every=100, first=100), val__loss=Series(AT, np.array(evaluations, float)))


@pytest.mark.parametrize("losses", [np.full(50, 8.5), np.linspace(9, 6.5, 50)])
def test_a_curve_that_never_rises_because_it_begins_too_high(losses):
    made = logged(losses, [4.4, *losses[9::10]])
    (found,) = fires(check, made)
    assert (found.first_step, found.severity or check.severity) == (100, Severity.ERROR)
    assert found.message.startswith("val/loss was 4.4 at step 0; the loss is")


@pytest.mark.parametrize(
    ("losses", "evaluations"),
    [
        (np.linspace(4.2, 2, 50), [4.4, 3.4, 3, 2.6, 2.3, 2.1]),  # sound
        (np.linspace(16, 8, 50), [4.4, 3.4, 3, 2.6, 2.3, 2.1]),  # summed
        (np.linspace(1.7, 0.4, 50), [1.8, 2.2, 2.5, 2.8, 3.1, 3.3]),  # overfitting
        (np.linspace(8, 2, 50), [4.4, 6, 5, 4, 3, 2.2]),  # it comes back
    ],
)
def test_silent(losses, evaluations):
    assert fires(check, logged(losses, evaluations)) == []


def behind(first, rest=8.5, evaluated=8.5, n=80, at=1):
    """A run that is evaluated every ten records, the first of which lies apart from the others."""
    noise = np.random.default_rng(0).normal(0, 1, (2, n))
    losses = np.r_[first, rest + noise[0][1:]]
    evaluations = series(evaluated + noise[1][: n // 10], every=10, first=at + 9)
    return run(loss=series(losses, first=at), val__loss=evaluations)


def test_a_first_record_that_is_far_below_all_others():
    (found,) = fires(check, behind(4.33))
    assert (found.first_step, found.severity or check.severity) == (2, Severity.ERROR)
    assert found.message.startswith("The loss was 4.33 in its first record, step 1, is 8.")
    (case,) = (case for case in cases(behind(4.33)) if case.finding.rule == check.name)
    assert list(untrue_evidence(case)) == []


@pytest.mark.parametrize(
    "made",
    [
        behind(6.2),  # as the lowest of many may be
        behind(4.33, evaluated=4.5),  # harder training text, or a sum
        behind(4.33, n=40),
        behind(4.33, at=2000),  # of a log that begins in the middle
        behind(0.8),  # a running mean that begins at 0
        behind(4.33, rest=np.linspace(9, 4, 79)),  # it comes back
    ],
)
def test_silent_where_the_first_record_is_low_for_another_reason(made):
    assert fires(check, made) == []


def test_silent_on_healthy_runs():
    assert list(check.look(healthy(300))) == []
    assert [type(said) for said in check.look(behind(8.5, n=40))] == [NotChecked]


def test_how_much_is_a_setting():
    made = logged(np.full(50, 5.0), [4.4, 5, 5, 5, 5, 5])
    assert len(fires(check, made)) == 1
    assert fires(check, made, least=0.2) == []


@pytest.mark.parametrize(("warmed", "first"), [(200, "signs"), (1, "rate")])
def test_a_rise_in_warm_up_asks_for_the_sign_first(warmed, first):
    """A hundredth of the peak is no rate to blow up at."""
    made = logged(np.full(50, 8.5), [4.4, 8.5, 8.5, 8.5, 8.5, 8.5])
    rates = 3e-4 * np.minimum(np.arange(1, 51) / (warmed / 10), 1)
    made.series["lr"] = series(rates, every=100, first=100)
    (found,) = fires(check, made)
    assert first in found.advice[0]
