"""A best evaluation without a checkpoint is reported when the saved ones are clearly worse."""

from dataclasses import replace

import pytest

from lmdiag.rules.generalization.best_checkpoint_not_saved import check
from lmdiag.run import Event
from tests.rules.curves import falling, fires, healthy, run, series


def saved(*steps: int, losses=(4, 3, 2.5, 2.8, 3.1, 3.4)):
    made = run(loss=falling(600), val__loss=series(losses, every=100, first=100))
    return replace(made, events=tuple(Event("checkpoint_saved", step) for step in steps))


def test_names_the_best_one_saved():
    (found,) = fires(check, saved(200, 400, 600))
    assert (found.first_step, found.evidence["saved_step"]) == (300, 400)


@pytest.mark.parametrize("steps", [(), (300,), (350, 600)], ids=["not logged", "saved", "saved after it"])
def test_silent_when_it_may_exist(steps):
    assert fires(check, saved(*steps)) == []


def test_silent_when_another_is_as_good():
    assert fires(check, saved(400, losses=(4, 3, 2.5, 2.505, 2.51, 2.52))) == []


def test_silent_on_healthy_runs():
    assert fires(check, healthy(500)) == []


def test_says_of_which_step_the_evaluation_of_a_checkpoint_is():
    (found,) = fires(check, saved(200, 450))
    assert "of step 450, has 2.8, evaluated at step 400." in found.message
    (found,) = fires(check, saved(200, 400))
    assert "evaluated at" not in found.message
