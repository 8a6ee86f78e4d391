"""Silences of the log and clocks that go back are information."""

from dataclasses import replace

import numpy as np

from lmdiag.diagnose import diagnose
from lmdiag.finding import Severity
from lmdiag.rules.integrity.clock_gap import check
from lmdiag.run import Segment
from tests.rules.curves import falling, fires, run


def clocked(gap: float = 0.0, at: int = 50, n: int = 100, seconds: float = 2.0):
    clock = 1.7e9 + seconds * np.arange(n)
    clock[at:] += gap
    return run(loss=falling(n), time=clock)


def test_a_night_in_silence():
    (found,) = fires(check, clocked(8 * 3600))
    assert (found.severity or Severity.INFO) is Severity.INFO
    assert (found.first_step, found.last_step) == (50, 51)
    assert "8.0 hours after step 50" in found.message
    assert "hung" in found.message


def test_a_resume_explains_it():
    made = replace(clocked(8 * 3600), segments=(Segment(1, 50, 0), Segment(51, 100, 50)))
    assert "where the run was resumed" in fires(check, made)[0].message


def test_a_clock_that_goes_back():
    (found,) = fires(check, clocked(-600))
    assert "goes back by 10 minutes at step 51" in found.message


def test_silent_on_pauses_rare_records_and_a_steady_clock():
    assert fires(check, clocked(900)) == []
    assert fires(check, clocked(3600, seconds=1200)) == []
    assert fires(check, clocked()) == []


def test_a_log_whose_times_are_not_read_is_not_called_one_without_times():
    (said,) = (refusal for refusal in diagnose(run(loss=np.full(50, 3.0))).not_checked if refusal.rule == "clock-gap")
    assert "before printed lines are not read" in said.why
