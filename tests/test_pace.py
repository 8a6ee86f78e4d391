"""The time of a step or a token, from whichever clock there is."""

import numpy as np
import pytest

from lmdiag.pace import pace, step_times
from tests.rules.curves import run


def test_speeds_come_before_step_times_and_clocks():
    made = run(tokens_per_sec=[100.0, 50.0], step_time_s=[1.0, 2.0], time=[0.0, 1.0, 3.0])
    assert (pace(made).metric, pace(made).unit, pace(made).seconds.tolist()) == (
        "tokens_per_sec",
        "token",
        [0.01, 0.02],
    )
    assert (step_times(made).metric, step_times(made).seconds.tolist()) == ("step_time_s", [1.0, 2.0])


@pytest.mark.parametrize("decimals", [0, 3])
def test_a_clock_gives_seconds_per_step_whatever_its_resolution(decimals):
    clock = np.round(1.7e9 + 1.4 * np.arange(2000), decimals)
    assert step_times(run(time=clock, every=5)).seconds == pytest.approx(1.4 / 5, rel=0.06)


def test_values_that_are_no_times_are_left_out():
    found = pace(run(step_time_s=[1.0, np.nan, 0.0, -1.0, 2.0]))
    assert (found.seconds.tolist(), found.steps.tolist()) == ([1.0, 2.0], [1, 5])


def test_a_clock_that_goes_back_loses_that_interval():
    clock = np.r_[np.arange(50) * 60.0, np.arange(50) * 60.0]
    assert (step_times(run(time=clock)).seconds > 0).all()


def test_a_log_without_clock_has_no_pace():
    assert pace(run(loss=np.ones(10))) is None
