"""A hole in a regular log is said; spacing that changes by plan is not."""

import numpy as np
import pytest

from lmdiag.finding import Severity
from lmdiag.rules.integrity.step_gap import check
from lmdiag.run import Series
from tests.rules.curves import falling, fires, healthy, run


def at(steps) -> object:
    steps = np.asarray(steps)
    return run(loss=Series(steps, falling(len(steps))))


def without(first: int, last: int, n: int = 100) -> np.ndarray:
    steps = 10 * np.arange(1, n + 1)
    return steps[(steps < first) | (steps > last)]


def test_a_hole_is_information_with_its_steps():
    (found,) = fires(check, at(without(310, 500)))
    assert found.severity in (None, Severity.INFO)
    assert (found.first_step, found.last_step) == (300, 510)
    assert found.evidence["missing_steps"] == 200
    assert "between step 300 and step 510" in found.message


def test_several_holes_are_one_finding():
    steps = without(310, 500, 200)
    (found,) = fires(check, at(steps[(steps < 1000) | (steps > 1100)]))
    assert found.evidence["holes"] == 2
    assert found.steps == (300, 990)


@pytest.mark.parametrize(
    "steps",
    [
        np.r_[np.arange(1, 11), np.arange(200, 8000, 200)],  # the first ten one by one
        np.unique(np.geomspace(1, 10_000, 60).astype(int)),  # ever more rarely
        without(310, 320),  # two records lost: no hole
        np.cumsum(np.random.default_rng(0).integers(1, 60, 200)),  # irregular
        np.r_[np.arange(10, 1000, 10), 2000],  # one record after the end
    ],
)
def test_silent(steps):
    assert fires(check, at(steps)) == []


def test_silent_on_healthy_runs():
    assert fires(check, healthy(300)) == []
