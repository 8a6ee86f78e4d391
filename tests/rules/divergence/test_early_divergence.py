"""A run that diverged before its first record is found by the evaluation before it; sums and overfitting are not."""

import numpy as np
import pytest

from lmdiag.finding import NotChecked, Severity
from lmdiag.rules.divergence.early_divergence import check
from lmdiag.run import Series
from tests.rules.curves import fires, healthy, run, series

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


def test_silent_on_healthy_runs():
    assert [type(said) for said in check.look(healthy(300))] == [NotChecked]


def test_how_much_is_a_setting():
    made = logged(np.full(50, 5.0), [4.4, 5, 5, 5, 5, 5])
    assert len(fires(check, made)) == 1
    assert fires(check, made, least=0.2) == []
