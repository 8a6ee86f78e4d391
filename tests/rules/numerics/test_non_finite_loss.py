"""Any logged NaN or infinity of a loss is found, with what came before it; missing values are not."""

from dataclasses import replace

import numpy as np
import pytest

from lmdiag.finding import Severity
from lmdiag.rules.numerics.non_finite_loss import check
from lmdiag.run import Event
from tests.rules.curves import falling, fires, healthy, run, series


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_value_is_enough(value):
    loss = falling(100)
    loss[60] = value
    (found,) = fires(check, run(loss=loss))
    assert (found.first_step, found.last_step) == (61, 61)
    assert found.evidence["last_finite_loss"] == loss[59]


def test_nan_to_the_end_names_the_onset_and_the_rising_gradient():
    loss, norms = falling(100), np.ones(100)
    loss[60:], norms[57:60] = np.nan, [5, 20, 60]
    (found,) = fires(check, run(loss=loss, grad_norm=norms, lr=np.full(100, 3e-4)))
    assert (found.first_step, found.last_step) == (61, 100)
    assert "gradient norm rose 60-fold" in found.message
    assert found.evidence["lr"] == 3e-4
    assert {"lr": 0.0001} in found.changes


@pytest.mark.parametrize("norms", [np.ones(100), None])
def test_nothing_announced_it_and_no_setting_is_to_change(norms):
    loss = falling(100)
    loss[60:] = np.nan
    (found,) = fires(check, run(loss=loss, lr=np.full(100, 3e-4), **({} if norms is None else {"grad_norm": norms})))
    assert "batch" in found.advice[1]
    assert not any(found.changes)


def test_only_a_run_in_fp16_is_told_of_bf16():
    loss = falling(100)
    loss[60:] = np.nan
    for precision, told in (("fp16", True), ("bf16", False), ("fp32", False)):
        (found,) = fires(check, run(loss=loss, config={"precision": precision}))
        assert ({"precision": "bf16"} in found.changes) is told


def test_what_the_training_loss_says_of_a_broken_evaluation():
    made = run(loss=falling(100), val__loss=series([5, np.nan, 4], every=25))
    assert "The training loss is finite" in fires(check, made)[0].advice[0]


@pytest.mark.parametrize(
    ("evaluations", "training", "severity"),
    [
        ([5, np.nan, 4], falling(100), Severity.WARNING),
        ([5, 4, np.nan], falling(100), None),
        ([5, np.nan, 4], np.r_[falling(99), np.nan], None),
    ],
)
def test_an_evaluation_that_came_back_beside_a_sound_training_is_a_warning(evaluations, training, severity):
    made = run(loss=training, val__loss=series(evaluations, every=25))
    assert fires(check, made)[-1].severity is severity


def test_nan_from_the_first_record_points_at_the_inputs():
    (found,) = fires(check, run(loss=np.full(20, np.nan)))
    assert "from the first record" in found.message
    assert "batch" in found.advice[0]


def test_evaluations_are_reported_apart():
    made = run(loss=falling(100), val__loss=series([5, np.nan, 4], every=25), test__loss=series([5, 4, np.inf]))
    assert [f.metric for f in fires(check, made)] == ["val/loss", "test/loss"]


def test_silent_on_finite_losses():
    assert fires(check, healthy(200)) == []


@pytest.mark.parametrize(("kind", "severity"), [("nan", Severity.ERROR), ("nan_gradient", Severity.WARNING)])
def test_what_the_program_says_counts_where_the_log_does_not_show_it(kind, severity):
    said = tuple(Event(kind, step, "Loss is nan, stopping training") for step in (70, 90))
    (found,) = fires(check, replace(healthy(200), events=said))
    assert (found.severity, found.first_step, found.last_step) == (severity, 70, 90)
    assert "2 times" in found.message
    loss, norms = falling(200), np.ones(200)
    loss[70] = norms[70] = np.nan
    (found,) = fires(check, replace(run(loss=loss, grad_norm=norms), events=said))
    assert "was not finite once, at step 71" in found.message


@pytest.mark.parametrize(
    ("bad", "said"),
    [([200], "was not finite once, at"), ([200, 201], "became non-finite at"), ([399], "became non-finite at")],
)
def test_a_single_value_that_comes_back_is_said_to_be_one(bad, said):
    loss = falling(400)
    loss[bad] = np.nan
    (found,) = fires(check, run(loss=loss))
    assert f"The loss {said} step {bad[0] + 1}, after " in found.message


@pytest.mark.parametrize(
    ("bad", "lift", "back"),
    [([200], 0, False), ([200, 201], 0, False), ([200, 201, 202], 0, True), ([398], 0, True), ([200], 3, True)],
    ids=["one", "two", "three", "at the end", "worse behind it"],
)
def test_only_a_loss_that_did_not_go_on_asks_for_a_checkpoint(bad, lift, back):
    loss = falling(400)
    loss[200:] += lift
    loss[bad] = np.nan
    (found,) = fires(check, run(loss=loss))
    assert any("checkpoint" in line for line in found.advice) is back
    assert any("batch" in line for line in found.advice)


@pytest.mark.parametrize(("records", "said"), [(40, "on rank 2 alone"), (35, "on rank 2 first")])
def test_the_rank_that_had_it_first_is_named(records: int, said: str) -> None:
    loss = falling(100)
    loss[60:] = np.nan
    told = Event("broken_rank", 61, "", {"whose": "rank 2", "records": records})
    (found,) = fires(check, replace(run(loss=loss), events=(told,)))
    assert f"(40 of 100 records, {said})" in found.message
    assert found.advice[0] == "Look at the data and the hardware of rank 2."


FROM_ONE_EPOCH = np.array([np.nan, 5.4, 4.7, 4.4, 4.1, 3.9])


def test_a_nan_beside_the_evaluation_before_training_is_information():
    (found,) = fires(check, run(loss=FROM_ONE_EPOCH, val__loss=[9.2, 5.0, 4.6, 4.3, 4.2, 4.1]))
    assert found.severity is Severity.INFO
    assert "before the first batch" in found.message


@pytest.mark.parametrize(
    ("bad", "evaluated"),
    [(0, [9.2, 9.1, 9.1, 9.0, 9.0, 9.0]), (2, [9.2, 5.0, 4.6, 4.3, 4.2, 4.1]), (0, [np.nan, 5.0, 4.6, 4.3, 4.2, 4.1])],
    ids=["not trained since", "later", "evaluation as well"],
)
def test_any_other_nan_beside_evaluations_is_an_error(bad, evaluated):
    loss = np.where(np.arange(6) == bad, np.nan, np.linspace(5.6, 4, 6))
    found, *_ = fires(check, run(loss=loss, val__loss=evaluated))
    assert found.severity is None  # as usual: an error
