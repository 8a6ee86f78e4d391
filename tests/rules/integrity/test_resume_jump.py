"""A loss that is higher behind a loaded checkpoint than before it."""

from dataclasses import replace

import numpy as np
import pytest

from lmdiag.finding import NotChecked, Severity
from lmdiag.rules.integrity.resume_jump import check
from lmdiag.run import Event, Segment
from tests.rules.curves import falling, fires, run


def resumed(
    jump: float = 0.0, at: int = 200, n: int = 400, told: str = "event", noise: float = 0.05, decay: float = 0.05
):
    losses = falling(n, noise=noise)
    losses[at:] += jump * np.exp(-decay * np.arange(n - at))
    made = run(loss=losses)
    if told == "event":
        return replace(made, events=(Event("checkpoint_loaded", at, "loaded checkpoint", {}),))
    return replace(made, segments=(Segment(1, at, 0), Segment(at + 1, n, at)))


@pytest.mark.parametrize("told", ["event", "counter"])
def test_a_jump_at_a_resume(told: str) -> None:
    (found,) = fires(check, resumed(1.5, told=told))
    assert (found.severity or Severity.WARNING) is Severity.WARNING
    assert found.first_step == 201
    assert "at step 201" in found.message
    assert found.evidence["jump"] == pytest.approx(1.35, abs=0.2)
    assert 201 < found.last_step < 300


@pytest.mark.parametrize("named", [200, 201])
def test_the_record_at_the_step_of_a_load_is_behind_it_where_it_has_jumped(named: int) -> None:
    """Some logs count the step of a checkpoint as done, others begin with it again."""
    made = replace(resumed(1.5), events=(Event("checkpoint_loaded", named, "loading checkpoint"),))
    (found,) = fires(check, made)
    assert found.first_step == 201


def test_a_jump_that_stays() -> None:
    (found,) = fires(check, resumed(0.5, decay=0.0))
    assert found.last_step > 250  # until the loss has fallen by as much


def test_silent_where_the_resume_restored_everything() -> None:
    for seed_at in (50, 200, 390):
        assert fires(check, resumed(0.0, at=seed_at)) == []


def test_silent_on_noise_on_single_records_and_on_loads_before_the_start() -> None:
    assert fires(check, resumed(0.3, noise=0.5)) == []
    assert fires(check, resumed(2.0, decay=5.0)) == []
    assert fires(check, resumed(2.0, at=2)) == []


def test_without_a_resume_nothing_is_checked() -> None:
    (said,) = check.look(run(loss=falling(100)))
    assert isinstance(said, NotChecked)


def test_false_alarms_of_resumes_that_restored_everything() -> None:
    """400 healthy resumes at random places, with little and with much noise: none is told."""
    draw = np.random.default_rng(0)
    told = 0
    for seed in range(400):
        losses = falling(300, noise=float(draw.choice([0.01, 0.05, 0.2])), seed=seed)
        at = int(draw.integers(20, 280))
        made = replace(run(loss=losses), events=(Event("checkpoint_loaded", at, "", {}),))
        told += bool(fires(check, made))
    assert told == 0


@pytest.mark.parametrize(("jump", "anew"), [(1.0, True), (0.7, False), (1.3, False)])
def test_a_loss_that_begins_again_says_that_no_weights_were_loaded(jump: float, anew: bool) -> None:
    losses = falling(400, noise=0.02)
    fall = losses[0] - np.median(losses[190:200])
    losses[200:] += jump * (losses[0] - losses[200]) * np.exp(-0.02 * np.arange(200))
    made = replace(run(loss=losses), events=(Event("checkpoint_loaded", 200, "loaded checkpoint"),))
    assert fall > 1
    (found,) = fires(check, made)
    assert found.severity is (Severity.ERROR if anew else Severity.WARNING)
    assert ("no trained weights were loaded" in found.message) == anew
    assert ("more than the weights" in found.advice[0]) != anew


def test_of_a_log_that_begins_later_nobody_knows_where_the_loss_began() -> None:
    losses = falling(400, noise=0.02)
    losses[200:] += (losses[0] - losses[200]) * np.exp(-0.02 * np.arange(200))
    made = replace(run(loss=losses, first=50_000), events=(Event("checkpoint_loaded", 50_199, "loaded checkpoint"),))
    (found,) = fires(check, made)
    assert found.severity is Severity.WARNING
