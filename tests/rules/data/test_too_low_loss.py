"""A run from scratch that predicts everything has seen the answers."""

import numpy as np
import pytest

from lmdiag.finding import Severity
from lmdiag.rules.data.too_low_loss import check
from tests.rules.curves import falling, fires, healthy, run, series


def leaked(floor: float = 0.05, start: float = 10.8, **more):
    return run(loss=falling(500, start=start, floor=floor, noise=0.0), **more)


def test_a_warning_when_the_evaluation_is_as_low():
    (found,) = fires(check, leaked(val__loss=series([3, 0.5, 0.2, 0.1, 0.1], every=100, first=100)))
    assert found.severity is Severity.WARNING
    assert found.evidence["below_limit_at"] == found.first_step


@pytest.mark.parametrize("start", [2.0, 4.1, 10.8])
def test_text_learned_at_once_is_a_warning_whatever_the_start(start):
    loss = 0.009 + start * np.exp(-np.arange(500) / 20)
    (found,) = fires(check, run(loss=loss, val__loss=series(np.full(5, 0.0095), every=100, first=100)))
    assert found.severity is Severity.WARNING
    assert "0.0095" in found.message


def test_a_transcript_may_be_predicted_well():
    low = series(np.full(5, 0.2), every=100, first=100)
    assert fires(check, leaked(0.05, val__loss=low))
    assert fires(check, leaked(0.05, val__loss=low, val__wer=low)) == []


@pytest.mark.parametrize("measure", ["val__MRR", "val__Hits10", "val__hits@3"])
def test_a_ranking_may_be_learned_well(measure):
    low = series(np.full(5, 0.2), every=100, first=100)
    assert fires(check, leaked(val__loss=low, **{measure: low})) == []


def test_a_template_learned_by_and_by_is_not_held_against_it():
    loss = 0.009 + 4 * np.exp(-np.arange(500) / 80)
    assert fires(check, run(loss=loss, val__loss=series(np.full(5, 0.0095), every=100, first=100))) == []


def test_information_without_an_evaluation():
    (found,) = fires(check, leaked())
    assert found.severity is Severity.INFO


@pytest.mark.parametrize(("floor", "found"), [(0.0005, [Severity.INFO]), (0.008, [])])
def test_information_where_a_fine_tune_without_an_evaluation_knows_every_token(floor, found):
    loss = floor + 3 * np.exp(-np.arange(500) / 20)
    assert [said.severity for said in fires(check, run(loss=loss))] == found


@pytest.mark.parametrize(
    "made",
    [
        leaked(val__loss=series([6, 5, 5, 6, 7], every=100, first=100)),
        leaked(start=2.5),
        leaked(0.01, start=0.5, val__loss=series(np.full(5, 0.01), every=100, first=100)),
        leaked(0.1, start=4, val__loss=series(np.full(5, 0.1), every=100, first=100)),
        leaked(start=5.5),
        leaked(floor=1.8),
        run(loss=np.full(50, 0.01), objective="classification"),
    ],
    ids=["memorised", "fine-tune", "known", "templates", "bytes", "honest", "classification"],
)
def test_silent_otherwise(made):
    assert fires(check, made) == []


def test_silent_on_healthy_runs():
    assert fires(check, healthy(500)) == []


def passes(n: int, of: float = 2.0) -> np.ndarray:
    return np.round(np.linspace(0, of, n), 2)


def test_a_warning_where_text_of_the_first_pass_is_known_before_it_is_seen():
    loss = 0.001 + 8 * np.exp(-np.arange(500) / 15)
    (found,) = fires(check, run(loss=loss, epoch=passes(500)))
    assert found.severity is Severity.WARNING
    assert "first pass" in found.message
    assert found.evidence["first_pass"] < 0.003


@pytest.mark.parametrize(
    "more",
    [
        {"epoch": np.floor(np.linspace(0, 2, 500))},  # whole passes do not tell
        {"epoch": passes(500, of=20.0)},  # learned in later passes
        {"epoch": passes(500), "accuracy": np.linspace(0.5, 1, 500)},  # labels of a few classes
    ],
    ids=["whole", "later", "labels"],
)
def test_information_where_the_text_may_have_been_seen(more):
    loss = 0.001 + 8 * np.exp(-np.arange(500) / 15)
    assert [said.severity for said in fires(check, run(loss=loss, **more))] == [Severity.INFO]


def test_silent_on_answers_memorised_first_and_understood_later():
    loss = 1e-5 + 4.7 * np.exp(-np.arange(500) / 3)
    evaluation = 1e-4 + np.where(np.arange(100) < 25, 20.0, 0.0)
    assert fires(check, run(loss=loss, val__loss=series(evaluation, every=5))) == []
    at_once = 1e-4 + 4.7 * np.exp(-np.arange(100) / 2)
    assert fires(check, run(loss=loss, val__loss=series(at_once, every=5)))


@pytest.mark.parametrize(
    ("start", "floor", "severities"),
    [
        (10.4, 0.03, [Severity.WARNING]),
        (10.4, 0.15, [Severity.WARNING]),
        (10.4, 0.8, [Severity.INFO]),  # as low as large models of code
        (1.4, 0.012, [Severity.INFO]),  # answers of one template
        (1.4, 0.05, []),
    ],
)
def test_how_low_the_first_pass_may_be_depends_on_where_the_run_starts(start, floor, severities):
    loss = floor + start * np.exp(-np.arange(300) / 15)
    found = fires(check, run(loss=loss, epoch=passes(300, of=1.0)))
    assert [said.severity for said in found] == severities
    assert all(("first pass" in said.message) == (floor < 0.3) for said in found)


def test_a_template_learned_by_and_by_in_the_first_pass_is_silent():
    loss = 0.012 + 1.4 * np.exp(-np.arange(300) / 40)
    assert fires(check, run(loss=loss, epoch=passes(300, of=1.0))) == []


def test_beside_mean_errors_a_small_loss_is_that_of_a_regression():
    loss = 0.005 + 2 * np.exp(-np.arange(300) / 10)
    beside = {"val__loss": series(loss[19::20], 20, 20), "loss": loss}
    assert len(fires(check, run(**beside))) == 1
    assert fires(check, run(**beside, val__mae=series(np.sqrt(loss[19::20]), 20, 20))) == []


def test_a_run_that_fell_within_its_first_three_records_began_at_its_first():
    loss = np.r_[10.9, 0.4, 0.2, np.full(57, 0.1)]
    assert (
        fires(check, run(loss=loss, val__loss=series(loss[9::10], 10, 10)))[0].message.count(
            "after 10.9 in its first record"
        )
        == 1
    )


@pytest.mark.parametrize(("loss", "found"), [([6.6, 0.4, 1e-6], 1), ([6.6, 0.4, 0.02], 0), ([0.05, 1e-6, 1e-6], 0)])
def test_a_loss_that_is_gone_in_its_third_record_is_a_warning(loss, found):
    said = fires(check, run(loss=np.r_[loss, np.full(97, loss[-1])]))
    assert [finding.severity for finding in said] == [Severity.WARNING] * found
