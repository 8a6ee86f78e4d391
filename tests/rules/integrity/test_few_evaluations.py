"""A run that repeats its data, or is long, needs evaluations; a short one does not."""

import numpy as np
import pytest

from lmdiag.finding import Severity
from lmdiag.rules.integrity.few_evaluations import check
from tests.rules.curves import falling, fires, healthy, run, series


def test_three_epochs_without_evaluation():
    (found,) = fires(check, run(loss=falling(60), epoch=np.linspace(0, 3, 60)))
    assert (found.severity or Severity.INFO) is Severity.INFO
    assert "no evaluation in 3 passes" in found.message


def test_a_long_run_with_two_evaluations():
    (found,) = fires(check, run(loss=falling(1000), val__loss=series([4, 3], every=500)))
    assert found.evidence["evaluations"] == 2
    assert "Evaluate every 99 steps" in found.advice[0]


@pytest.mark.parametrize("metric", ["val__loss", "val__accuracy"])
def test_four_evaluations_of_any_kind_are_enough(metric):
    made = run(loss=falling(1000), epoch=np.linspace(0, 3, 1000), **{metric: series([4, 3, 2, 1], every=250)})
    assert fires(check, made) == []


def test_silent_on_short_and_healthy_runs():
    assert fires(check, run(loss=falling(60), epoch=np.linspace(0, 1, 60))) == []
    assert fires(check, healthy(1000)) == []


def test_the_advised_interval_is_a_round_number():
    (found,) = fires(check, run(loss=falling(1487)))
    assert "Evaluate every 150 steps" in found.advice[0]
