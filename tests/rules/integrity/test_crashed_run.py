"""A run that died of an error is an error, whatever its curves look like; one that was resumed and went on is not."""

from dataclasses import replace

import pytest

from lmdiag.diagnose import diagnose
from lmdiag.rules.integrity.crashed_run import check
from lmdiag.run import Event
from tests.rules.curves import falling, fires, run

END = Event("end", 100, fields={"status": "crashed"})


def with_events(*events, planned=200):
    return replace(run(loss=falling(100), config={"max_steps": planned} if planned else {}), events=events)


def test_says_where_and_of_what():
    (found,) = fires(check, with_events(Event("exception", 100, "Traceback …\nRuntimeError: CUDA out of memory."), END))
    assert found.message == "The run crashed at step 100 of 200: RuntimeError: CUDA out of memory."
    assert (found.first_step, found.evidence["share"]) == (100, 0.5)
    assert diagnose(with_events(END)).verdict == "unhealthy"


def test_without_words_and_without_a_plan():
    (found,) = fires(check, with_events(END, planned=None))
    assert found.message == "The run crashed at step 100."


def test_a_plan_in_steps_is_not_held_against_a_count_of_records():
    (found,) = fires(check, replace(with_events(END, planned=90), step_kind="record"))
    assert (found.message, found.evidence) == ("The run crashed at record 100.", {"last_step": 100})


def test_names_the_checkpoint_to_go_on_from():
    (found,) = fires(check, with_events(Event("checkpoint_saved", 80), END))
    assert "the checkpoint of step 80" in found.advice[-1]


@pytest.mark.parametrize("status", ["completed", "stopped", "killed", ""])
def test_silent_on_other_ends(status):
    assert fires(check, with_events(Event("end", 100, fields={"status": status}))) == []


def test_silent_where_the_run_went_on_or_the_error_was_survived():
    assert fires(check, with_events(END, Event("restart", 100))) == []
    assert fires(check, with_events(Event("exception", 50, "ValueError: bad batch"))) == []
