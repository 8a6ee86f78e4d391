"""A loss that stops while the log goes on is one that is no longer a number."""

import numpy as np
import pytest

from lmdiag.rules.integrity.missing_loss import check
from lmdiag.run import Run, Series
from tests.rules.curves import falling, fires


def log(loss=100, others=200, every=1, **more):
    steps = np.arange(1, others + 1)
    at = steps[:loss][::every]
    series = {"loss": Series(at, falling(len(at))), "lr": Series(steps, np.full(others, 1e-3))}
    return Run("a", series | {name: Series(steps[:n], np.ones(n)) for name, n in more.items()})


def test_says_from_which_step_on():
    (found,) = fires(check, log())
    assert found.message == "The loss stops after step 100: the last 100 of 200 records have lr but no loss."
    assert (found.first_step, found.last_step, found.evidence["records"]) == (101, 200, 100)


def test_a_gradient_norm_that_stops_with_it_is_said():
    (found,) = fires(check, log(grad_norm=100))
    assert found.message.startswith("The loss and the gradient norm stop after step 100")


def test_a_gradient_that_broke_just_before_is_the_cause():
    made = log(grad_norm=100)
    norms = Series(made["grad_norm"].steps, np.r_[np.ones(99), np.nan])
    (found,) = fires(check, Run("a", {**made.series, "grad_norm": norms}))
    assert found.message.startswith("The loss and the gradient norm, which is not finite there, stop after step 100:")
    assert found.advice[1].startswith("Resume from the last checkpoint before step 100;")


@pytest.mark.parametrize("others", [100, 101, 104])
def test_a_summary_behind_the_last_record_is_no_loss_that_stops(others):
    assert fires(check, log(others=others)) == []
    assert len(fires(check, log(others=105))) == 1


def test_a_loss_every_few_steps_goes_on():
    assert fires(check, log(loss=200, others=209, every=10)) == []


def test_evaluations_behind_the_last_record_are_none():
    made = log(loss=100, others=100)
    later = Series(np.arange(110, 200, 10), np.ones(9))
    assert fires(check, Run("a", {**made.series, "val/loss": later, "val/runtime": later})) == []
