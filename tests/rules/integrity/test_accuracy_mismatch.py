"""A cross-entropy is at least (1 - accuracy) ln 2."""

from dataclasses import replace

import numpy as np
import pytest

from lmdiag.finding import NotChecked, Severity
from lmdiag.judging.reading import read
from lmdiag.rules.integrity.accuracy_mismatch import check
from tests.rules.curves import falling, fires, run, series

LOSS = falling(100, start=3.0, floor=1.0)
ACCURACY = np.linspace(0.2, 0.5, 100)


def test_a_loss_that_is_divided_once_too_often():
    (found,) = fires(check, run(loss=LOSS / 8, accuracy=ACCURACY))
    assert found.metric == "loss"
    assert found.evidence["share"] > 0.8
    assert "cannot both be right" in found.message


def test_another_scale_of_the_loss_from_the_first_record_on_is_information():
    """A binary cross-entropy per class, averaged over eight of them, is no fault; a scale that changes on the way is one."""
    (found,) = fires(check, run(loss=LOSS / 8, accuracy=ACCURACY))
    assert found.severity is Severity.INFO
    assert "another scale" in found.message
    changed = np.where(np.arange(100) < 40, LOSS, LOSS / 8)
    (found,) = fires(check, run(loss=changed, accuracy=ACCURACY))
    assert found.severity is None  # as usual: a warning
    assert "another scale" not in found.message


def test_an_evaluation():
    (found,) = fires(check, run(loss=LOSS, val__loss=LOSS / 8, val__accuracy=ACCURACY))
    assert found.metric == "val/loss"


@pytest.mark.parametrize("share", [0.05, 0.3, 0.7, 0.95])
def test_silent_on_predictions_that_are_possible(share):
    """Predictions of every kind, among them those that cost least for their accuracy."""
    draw = np.random.default_rng(0)
    right = draw.random((60, 4000)) < share
    p = np.where(right, draw.uniform(0.5, 1, right.shape), draw.uniform(0.4, 0.5, right.shape))
    assert fires(check, run(loss=-np.log(p).mean(1), accuracy=right.mean(1))) == []


def test_silent_on_rewards_and_few_records():
    assert [type(said) for said in check.look(run(loss=LOSS / 8, accuracy=ACCURACY, objective="reinforcement"))] == [
        NotChecked
    ]
    assert fires(check, run(loss=LOSS[:20] / 8, accuracy=np.full(20, 1.0))) == []
    assert fires(check, run(loss=LOSS, accuracy=ACCURACY)) == []


@pytest.mark.parametrize("decimals", [2, 3])
def test_silent_where_only_the_accuracy_is_rounded(decimals):
    """An accuracy of 0.992 that is printed as 0.99 allows no loss of 0.006, and was measured beside one."""
    wrong = np.linspace(0.55, 1.45, 60) * 10.0**-decimals
    shown = replace(run(accuracy=1 - wrong)["accuracy"], values=np.round(1 - wrong, decimals), decimals=decimals)
    log = run(loss=wrong * 0.85)
    assert fires(check, replace(log, series={**log.series, "accuracy": replace(shown, decimals=None)}))
    assert fires(check, replace(log, series={**log.series, "accuracy": shown})) == []


def test_silent_on_an_accuracy_that_is_0_throughout():
    assert fires(check, run(loss=np.full(60, 0.01), accuracy=np.zeros(60))) == []


def test_silent_on_whole_percents(tmp_path):
    """They are rounded to a hundredth of the tokens, though 99.45% printed as 99% is a share of 0.99 with two decimals."""
    log = tmp_path / "train.log"
    wrong = np.linspace(0.0055, 0.0145, 60)
    log.write_text("".join(f"step {n} loss {w * 0.85:.5f} acc {100 * (1 - w):.0f}%\n" for n, w in enumerate(wrong, 1)))
    printed = read(log)
    assert printed["accuracy"].decimals == 2
    assert fires(check, printed) == []


BELOW = np.array([0.5, 0.2, 0.05, -0.1, -0.5, -1.2, -2.1, -3.0])
LOSES = np.array([0.93, 0.92, 0.89, 0.86, 0.84, 0.81, 0.80, 0.78])


def test_a_loss_that_falls_below_0_while_the_accuracy_falls():
    (found,) = fires(check, run(loss=BELOW, tag_accuracy=LOSES, objective="signed"))
    assert "no likelihood" in found.message
    assert found.first_step == 4


@pytest.mark.parametrize(
    ("loss", "accuracy"),
    [
        (BELOW, LOSES[::-1]),
        (BELOW, np.full(8, 0.93)),
        (BELOW, np.linspace(0.93, 0.90, 8)),
        (BELOW + 4, LOSES),
    ],
)
def test_silent_where_the_accuracy_agrees_or_the_loss_is_not_below_0(loss, accuracy):
    assert fires(check, run(loss=loss, tag_accuracy=accuracy, objective="signed")) == []


def test_silent_on_a_policy_whose_loss_is_below_0():
    assert fires(check, run(loss=BELOW, tag_accuracy=LOSES, objective="reinforcement")) == []


@pytest.mark.parametrize("seed", range(20))
def test_silent_on_a_small_fall_beside_one_lucky_record(seed):
    rng = np.random.default_rng(seed)
    accuracy = np.linspace(0.92, 0.90, 80) + rng.normal(0, 0.015, 80)
    made = run(loss=np.linspace(1, -3, 80), tag_accuracy=np.clip(accuracy, 0, 1), objective="signed")
    assert fires(check, made) == []


@pytest.mark.parametrize("measure", ["cer", "Current_norm_ED", "val/exact_match"])
def test_an_accuracy_of_whole_answers_says_nothing_of_one_token(measure):
    rights = series(np.linspace(0.5, 0.1, 100))
    made = run(loss=LOSS / 8, accuracy=ACCURACY, **{measure.replace("/", "__"): rights})
    (said,) = check.look(made)
    assert isinstance(said, NotChecked)
    assert "whole answers" in said.why
