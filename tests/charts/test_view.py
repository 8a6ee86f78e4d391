"""The x axes: interpolation, and which of them a run has."""

import numpy as np
import pytest

from lmdiag.charts.view import axes_of, positions
from lmdiag.run import Run, Series

STEPS = np.array([0, 10, 20])


@pytest.mark.parametrize(
    ("series", "axis", "expected"),
    [
        ({"tokens": Series(STEPS, np.array([0.0, 100.0, 400.0]))}, "tokens", [50.0, 250.0]),
        ({"epoch": Series(STEPS, np.array([0.0, 1.0, 2.0]))}, "epoch", [0.5, 1.5]),
        ({"time": Series(STEPS, np.array([1e9, 1e9 + 3600, 1e9 + 7200]))}, "elapsed", [0.5, 1.5]),
        ({"elapsed_s": Series(STEPS, np.array([0.0, 3600.0, 7200.0]))}, "elapsed", [0.5, 1.5]),
        ({"loss": Series(STEPS, np.ones(3))}, "relative", [0.25, 0.75]),
    ],
)
def test_positions_lie_between_the_logged_ones(series, axis, expected):
    run = Run("a", series)
    assert axis in axes_of(run)
    assert positions(run, axis, np.array([5, 15])).tolist() == pytest.approx(expected)


def test_a_clock_that_jumps_back_after_a_restart_never_turns_the_axis_round():
    run = Run("a", {"elapsed_s": Series(np.arange(4), np.array([0.0, 3600.0, 10.0, 7200.0]))})
    assert positions(run, "elapsed", np.arange(4)).tolist() == [0.0, 1.0, 1.0, 2.0]


def test_axes_that_the_log_does_not_tell_are_not_offered():
    assert axes_of(Run("a", {"loss": Series(STEPS, np.ones(3))})) == ["step", "relative"]
