"""A step counter that goes back is said; repeated steps with other losses are a warning."""

from dataclasses import replace

import numpy as np

from lmdiag.finding import Severity
from lmdiag.rules.integrity.step_rewind import check
from lmdiag.run import Segment, Series
from tests.rules.curves import falling, fires, healthy, run


def resumed(difference: float, n: int = 200, back_to: int = 80, until: int = 120):
    loss = falling(n, noise=0.05)
    made = run(loss=loss)
    steps = np.arange(back_to, until + 1)
    rng = np.random.default_rng(5)
    earlier = Series(steps, loss[steps - 1] + difference + rng.normal(0, 0.05, len(steps)))
    segments = (Segment(1, until, 0), Segment(back_to, n, until))
    return replace(made, segments=segments, superseded={"loss": earlier})


def test_a_resume_is_information():
    (found,) = fires(check, resumed(0.0))
    assert found.severity == Severity.INFO
    assert (found.first_step, found.last_step) == (80, 120)
    assert found.evidence["repeated_steps"] == 41


def test_better_losses_at_the_same_steps_are_information():
    (found,) = fires(check, resumed(0.3))
    assert found.severity == Severity.INFO
    assert "better than the first time." in found.message


def test_worse_losses_at_the_same_steps_are_a_warning():
    (found,) = fires(check, resumed(-0.3))
    assert found.severity == Severity.WARNING
    assert "did not restore everything" in found.message


def test_a_segment_that_continues_is_not_a_rewind():
    made = replace(healthy(100), segments=(Segment(1, 50, 0), Segment(51, 100, 50)))
    assert fires(check, made) == []
    assert fires(check, healthy(100)) == []


def test_a_training_that_follows_another_was_not_resumed():
    (found,) = fires(check, resumed(-0.3, back_to=1))
    assert found.severity == Severity.INFO
    assert "another training follows" in found.message
    assert "repeated losses" not in found.message
