"""A log that ends before its plan, or says it crashed, is a prefix; one that stopped on purpose is complete."""

from dataclasses import replace

import pytest

from lmdiag.rules.integrity.truncated_run import check
from lmdiag.run import Event
from tests.rules.curves import falling, fires, healthy, run


def ended(status: str | None, planned: int | None, n: int = 100):
    made = run(loss=falling(n), config={"max_steps": planned} if planned else {})
    return replace(made, events=(Event("end", n, fields={"status": status}),) if status else ())


@pytest.mark.parametrize(
    ("status", "planned", "words"),
    [(None, 200, "of the planned 200 (50%)"), ("killed", None, "was killed")],
)
def test_fires(status, planned, words):
    (found,) = fires(check, ended(status, planned))
    assert words in found.message
    assert found.first_step == 100


@pytest.mark.parametrize(
    ("status", "planned"), [(None, None), (None, 101), ("completed", 1000), ("stopped", 1000), ("crashed", 1000)]
)
def test_silent(status, planned):
    assert fires(check, ended(status, planned)) == []


def test_a_log_whose_steps_are_epochs_is_not_compared_with_planned_steps():
    assert fires(check, replace(ended(None, 5000), step_kind="epoch")) == []
    assert fires(check, healthy(50)) == []


def test_silent_where_the_next_record_would_lie_past_the_end():
    made = run(loss=[3.0, 2.5, 2.2, 2.0], every=100, first=100, config={"max_steps": 456})
    assert fires(check, made) == []
    assert len(fires(check, replace(made, config={"max_steps": 500}))) == 1


@pytest.mark.parametrize(("last", "every", "expected"), [(39, 1, 0), (30, 10, 0), (29, 1, 1), (20, 10, 1)])
def test_a_log_that_counts_from_0_ends_one_step_before_its_plan(last, every, expected):
    """As Lightning's event files do: the last of 40 steps is 39."""
    made = run(loss=falling(last // every + 1), every=every, first=0, config={"max_steps": 40})
    assert len(fires(check, made)) == expected
    assert made.steps_done == last + 1
