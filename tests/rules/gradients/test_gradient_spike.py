"""Jumps and tenfold growth of the gradient norm are found; start-up and slow growth are not."""

import numpy as np
import pytest

from lmdiag.finding import Severity
from lmdiag.rules.gradients.gradient_spike import check
from tests.rules.curves import falling, fires, healthy, run, series


def norms(n: int = 300, seed: int = 0) -> np.ndarray:
    return np.exp(np.random.default_rng(seed).normal(0, 0.2, n))


@pytest.mark.parametrize("factor", [12, 40, 1e4])
def test_a_jump_is_found_at_its_step(factor):
    values = norms()
    values[200] *= factor
    (found,) = fires(check, run(loss=falling(300), grad_norm=values))
    assert found.first_step == found.last_step == 201
    assert found.evidence["ratio"] == pytest.approx(values[200], rel=0.5)


def test_a_short_log_is_enough():
    assert len(fires(check, run(loss=falling(12), grad_norm=[1, 1.1, 0.9, 1, 1.2, 1, 50, 1, 1, 1, 1, 1]))) == 1


def test_tenfold_growth_is_found():
    (found,) = fires(check, run(loss=falling(300), grad_norm=norms() * np.geomspace(1, 40, 300)))
    assert "grew" in found.message


def test_clipping_is_mentioned_with_its_limit():
    values = norms()
    values[200] *= 40
    (found,) = fires(check, run(loss=falling(300), grad_norm=values, config={"grad_clip": 1.0}))
    assert "clipping at 1.0 absorbed it" in found.message
    (found,) = fires(check, run(loss=falling(300), grad_norm=values, config={"grad_clip": 1e6}))
    assert "absorbed" not in found.message


@pytest.mark.parametrize(
    ("factor", "at", "clip", "alarms"),
    [(15, [200], 1.0, False), (15, [200], 0.0, False), (15, [100, 200], 1.0, True), (100, [200], 1.0, False)],
)
def test_one_jump_behind_which_the_loss_came_back_is_no_alarm(factor, at, clip, alarms):
    values, loss = norms(), falling(300)
    values[at] = factor
    loss[at] *= 1.5
    (found,) = fires(check, run(loss=loss, grad_norm=values, config={"grad_clip": clip}))
    assert found.alarms is alarms


def test_jumps_that_leave_no_trace_in_the_loss_are_no_alarm():
    values, loss = norms(), falling(300)
    values[[100, 200]] = 40
    worse = loss + (np.arange(300) >= 200)
    alarms = [fires(check, run(loss=one, grad_norm=values))[0].alarms for one in (loss, worse)]
    assert alarms == [False, True]
    assert fires(check, run(grad_norm=values))[0].alarms  # no loss says that they were harmless
    values[150:160:2] = 40
    assert fires(check, run(loss=loss, grad_norm=values))[0].alarms  # too many


@pytest.mark.parametrize("seed", range(5))
def test_silent_on_start_up_and_slow_growth(seed):
    start = norms(seed=seed) * (1 + 30 * np.exp(-np.arange(300) / 3))
    slow = norms(seed=seed) * np.linspace(1, 3, 300)
    assert fires(check, run(loss=falling(300), grad_norm=start)) == []
    assert fires(check, run(loss=falling(300), grad_norm=slow)) == []
    assert fires(check, healthy(300, seed)) == []


def test_silent_where_large_norms_are_common():
    norms = np.tile([6.0, 0.1, 0.12, 0.09], 100) * np.exp(np.random.default_rng(0).normal(0, 0.2, 400))
    assert fires(check, run(loss=falling(400), grad_norm=norms)) == []


@pytest.mark.parametrize(("earlier", "found"), [(30.0, 0), (4.0, 1)])
def test_silent_on_the_long_tail_of_a_converging_classifier(earlier, found):
    values = np.exp(np.random.default_rng(3).normal(1.2, 0.35, 200))
    values[[120, 140]] = earlier, 48.0  # far above what is usual, but hardly above the largest before it
    assert len(fires(check, run(loss=falling(200), grad_norm=values))) == found


def test_jumps_that_follow_each_other_are_all_counted():
    values = norms()
    values[[200, 210, 220]] *= 25
    (found,) = fires(check, run(loss=falling(300), grad_norm=values))
    assert found.evidence["records"] == 3


def test_two_jumps_without_a_trace_are_no_alarm_in_a_short_log():
    values, loss = norms(120), falling(120)
    values[[40, 80]] = 60
    assert not fires(check, run(loss=loss, grad_norm=values))[0].alarms
    values[60] = 60
    assert fires(check, run(loss=loss, grad_norm=values))[0].alarms


def test_growth_begins_where_the_norm_leaves_its_level():
    norms = np.exp(np.clip(np.arange(800) / 800 - 0.5, 0, 1) * 10) * np.exp(
        np.random.default_rng(0).normal(0, 0.1, 800)
    )
    (found,) = fires(check, run(loss=falling(800), grad_norm=norms))
    assert found.first_step == pytest.approx(400 + 800 * np.log(2) / 10, abs=40)


@pytest.mark.parametrize(("lasts", "alarms"), [(3, False), (40, True)])
def test_a_single_jump_is_no_alarm_where_the_loss_soon_came_back(lasts, alarms):
    values, loss = norms(300), falling(300)
    values[150] *= 24
    loss[150 : 150 + lasts] += 2.0
    (found,) = fires(check, run(loss=loss, grad_norm=values))
    assert found.alarms == alarms
    assert any("Nothing to change" in line for line in found.advice) != alarms


@pytest.mark.parametrize(("loss", "found"), [(np.linspace(0.6, 0.9, 11), 1), (np.linspace(0.9, 0.6, 11), 0)])
def test_few_norms_that_grew_tenfold_and_stay_up_while_the_loss_does_not_fall(loss, found):
    norms = [0.31, 0.22, 1.1, 1.6, 14, 9.3, 18.5, 12.2, 5.1, 19, 8.8]
    said = fires(check, run(loss=loss, grad_norm=norms))
    assert [(f.first_step, "grew 17-fold at step 5 and stayed up" in f.message) for f in said] == found * [(5, True)]


@pytest.mark.parametrize(("end", "found"), [(100.0, 1), (25.0, 0)])
def test_growth_is_measured_from_the_lowest_level_if_the_end_is_above_the_start(end, found):
    rng = np.random.default_rng(0)
    norms = np.exp(np.r_[np.linspace(np.log(30), np.log(4), 160), np.linspace(np.log(4), np.log(end), 240)])
    made = run(loss=falling(400), grad_norm=norms * np.exp(rng.normal(0, 0.2, 400)))
    assert len(fires(check, made)) == found


@pytest.mark.parametrize(("clip", "alarms"), [(1.0, False), (0.0, True)])
def test_clipped_jumps_at_a_loss_next_to_nothing_are_no_alarm(clip, alarms):
    values, loss = norms(235) / 4, 0.35 * np.exp(-np.arange(235) / 20) + 4e-4
    values[[150, 186]] = 11.4
    loss[151:156] *= 12
    (found,) = fires(check, run(loss=loss, grad_norm=values, config={"grad_clip": clip}))
    assert found.alarms is alarms


@pytest.mark.parametrize(("after", "severity"), [(0.0, Severity.INFO), (1.5, Severity.WARNING)])
def test_where_the_training_loss_is_not_logged_the_evaluations_tell_what_a_jump_did(after, severity):
    values, evaluations = norms(), falling(30)
    values[200] *= 40
    evaluations[20:] += after
    made = run(val__loss=series(evaluations, every=10, first=10), grad_norm=values)
    (found,) = fires(check, made)
    assert found.severity == severity


def test_a_jump_behind_the_last_evaluation_may_have_harmed():
    values = norms()
    values[280] *= 40
    (found,) = fires(check, run(val__loss=series(falling(25), every=10, first=10), grad_norm=values))
    assert found.severity == Severity.WARNING
