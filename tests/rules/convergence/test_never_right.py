"""An error rate that stays at 100%, or a score that stays at 0, beside a loss that falls no more."""

from dataclasses import replace

import numpy as np
import pytest

from lmdiag.rules.convergence.never_right import check
from lmdiag.run import Run
from tests.rules.curves import fires, run, series

FLAT = np.array([80.4, 79.1, 81.2, 80.6, 79.8, 80.9, 80.1, 80.7])
FALLING = np.linspace(90.0, 20.0, 8)


def evaluated(values: object, losses: np.ndarray = FLAT, first: int = 100, name: str = "val__wer") -> Run:
    n = len(np.asarray(values))
    return run(loss=series(losses[:n], every=100, first=first), **{name: series(values, every=100, first=first)})


@pytest.mark.parametrize("rates", [[100.3, 99.2, 102.5, 101.0, 98.4, 100.0], [1.0, 0.99, 1.0, 1.0, 0.97, 1.0]])
def test_no_word_is_right_and_the_loss_stays(rates):
    (found,) = fires(check, evaluated(rates))
    assert (found.first_step, found.last_step, found.metric) == (100, 600, "val/wer")
    assert found.evidence == {"lowest": min(rates), "highest": max(rates), "evaluations": 6}


@pytest.mark.parametrize("name", ["val__f1", "val__ents_f", "val__bleu", "mcc"])
def test_nothing_is_found_and_the_loss_stays(name):
    (found,) = fires(check, evaluated([0.0] * 6, name=name))
    assert "is 0 in all 6 values" in found.message


def test_a_log_that_begins_late_needs_no_flat_loss():
    (found,) = fires(check, evaluated([100.0] * 6, FALLING, first=20_000))
    assert "from step 20,000 on, where this log begins" in found.message


STILL = np.array([5.11, 5.16, 5.14])


@pytest.mark.parametrize(
    ("losses", "every", "found"),
    [(STILL, 300, 1), (STILL[::-1], 300, 0), (STILL, 30, 0), (np.array([5.11, 5.16, 5.1]), 300, 0)],
    ids=["no gain", "a gain", "a few steps", "a gain in the end"],
)
def test_three_evaluations_are_enough_beside_a_loss_that_ends_no_lower_than_it_began(losses, every, found):
    made = run(loss=series(losses, every=every, first=every), val__wer=series([1.0] * 3, every=every, first=every))
    assert len(fires(check, made)) == found


@pytest.mark.parametrize(
    ("losses", "every", "found"),
    [
        ([2.94, 2.95, 2.93], 300, 1),
        ([2.98, 2.94, 2.91], 300, 0),
        ([2.94, 3.08, 2.93], 300, 0),
        ([2.94, 2.95, 2.93], 90, 0),
    ],
    ids=["stay", "fall", "scatter", "a few steps"],
)
def test_three_evaluations_are_enough_where_their_own_loss_stays(losses, every, found):
    """A recogniser that prints blanks: its training loss falls to what they cost, and no further."""
    measures = {"loss": [5.61, 3.07, 2.95], "val__loss": losses, "val__wer": [1.0] * 3}
    made = {name: series(values, every=every, first=every) for name, values in measures.items()}
    assert len(fires(check, run(**made))) == found
    warming = series([1e-5, 2e-5, 3e-5], every=every, first=every)
    assert fires(check, run(**made, lr=warming)) == []


def test_single_answers_are_no_evaluations():
    answers = replace(run(loss=series(FLAT), wer=series([1.0] * 8)), step_kind="record")
    assert not fires(check, answers)
    for name in ("val__wer", "train-WER"):
        assert len(fires(check, replace(evaluated([1.0] * 8, name=name), step_kind="record"))) == 1


@pytest.mark.parametrize(
    "made",
    [
        evaluated([100.0] * 6, FALLING),
        evaluated([100.0, 100.0, 100.0, 100.0, 96.0, 71.0]),
        evaluated([1.02, 0.99, 0.98, 1.0, 0.97, 0.96]),
        evaluated([2.4, 2.3, 2.3, 2.2, 2.2, 2.2]),
        evaluated([0.0, 0.0, 0.0, 0.0, 0.0, 0.01], name="val__f1"),
        evaluated([0.0] * 6, name="val__accuracy"),
        run(loss=series(FLAT), val__wer=series([100.0] * 4)),
    ],
    ids=["the loss falls", "the last is better", "in percent", "a good one", "one is found", "not computed", "too few"],
)
def test_stays_silent(made):
    assert not fires(check, made)


def beside(name: str, **others: object) -> Run:
    wrong = [100.0] * 6 if name.endswith("er") else [0.0] * 6
    measures = {other: series(values, every=100, first=100) for other, values in others.items()}
    return run(loss=series(FLAT[:6], every=100, first=100), **{name: series(wrong, every=100, first=100)}, **measures)


@pytest.mark.parametrize(
    "made",
    [
        beside("zh__wer", zh__cer=[7.2] * 6),
        beside("zh__wer", val__wer=[30.0, 20.0, 15.0, 13.0, 12.0, 12.0]),
        beside("val__wer", val__cer=[0.2] * 6),
        beside("val__bleu", val__rougeL=[0.3] * 6),
        beside("val__NoAns_f1", val__f1=[88.0] * 6),
        beside("val__MISC_f1", val__f1=[0.9] * 6),
    ],
)
def test_one_of_several_measures_is_silent_where_another_is_good(made):
    assert not fires(check, made)


@pytest.mark.parametrize(
    "made",
    [
        beside("val__wer", val__cer=[98.0] * 6),
        beside("val__wer", train__wer=[5.0] * 6),  # learned by heart
        beside("val__f1", val__accuracy=[0.9] * 6),  # of all tokens, most of which are no name
        beside("val__f1", f1=[0.9] * 6),
    ],
)
def test_other_measures_that_are_not_good_or_not_of_answers_do_not_silence(made):
    assert len(fires(check, made)) == 1


def test_small_models_get_no_whole_answer_right():
    assert not fires(check, evaluated([0.0] * 8, FALLING, first=200_000, name="gsm8k__exact_match"))
    assert not fires(check, evaluated([0.0] * 8, name="gsm8k__exact_match"))


def in_vain(**changed):
    measures = {
        "loss": [5.41, 5.32, 5.3, 5.3],
        "val__loss": [5.28, 5.31, 5.28, 5.29],
        "f1": [0.072, 0.076, 0.079, 0.088],
        "val__f1": [0.0671, 0.0662, 0.0671, 0.0675],
    }
    return replace(run(**(measures | changed)), step_kind="epoch")


def test_passes_behind_which_nine_answers_in_ten_are_wrong():
    (found,) = fires(check, in_vain())
    assert found.message.startswith("val/f1 is between 0.0662 and 0.0675 in 4 evaluations")
    assert found.message.endswith("val/loss stays between 5.28 and 5.31: the passes over the data teach nothing.")


@pytest.mark.parametrize(
    "changed",
    [
        {"f1": [0.4, 0.6, 0.7, 0.9]},  # learned by heart, or understood later
        {"val__f1": [0.02, 0.04, 0.06, 0.09]},  # slowly
        {"val__f1": [0.71, 0.72, 0.71, 0.72], "f1": [0.7, 0.72, 0.73, 0.74]},  # learned in the first pass
        {"val__loss": [5.49, 5.4, 5.33, 5.28]},
        {"loss": [6.41, 5.83, 5.5, 5.3]},
        {"val__loss": [5.28, 5.31, 5.28]},
        {"val__f1": [0.0011, 0.0022, 0.0044, 0.0088]},  # of a thousand classes
        {"f1": [0.001, 0.003, 0.002, 0.004]},
        {"loss": [5.42, 5.38, 5.34, 5.3], "val__loss": [5.31, 5.3, 5.29, 5.28]},
        {"val__f1": [0.08, 0.082, 0.084, 0.086]},
    ],
)
def test_silent_where_one_of_the_measures_learns(changed):
    assert fires(check, in_vain(**changed)) == []


def test_zeros_throughout_are_no_passes_in_vain_but_may_not_be_computed():
    (found,) = fires(check, in_vain(f1=np.zeros(4), val__f1=np.zeros(4)))
    assert "is 0 in all 4 values" in found.message
    assert found.message.endswith("nothing is found, or the measure is not computed.")


def test_steps_are_no_passes():
    assert fires(check, replace(in_vain(), step_kind="step")) == []


@pytest.mark.parametrize(("evaluated", "found"), [([119.0, 108.0, 100.0], 0), ([119.0, 118.0, 119.5], 1)])
def test_three_evaluations_whose_loss_falls_outweigh_a_training_loss_that_rises(evaluated, found):
    """Samples sorted by length: the sum over a longer one is larger."""
    trained = np.linspace(42, 160, 30)
    measures = {"val__loss": series(evaluated, 100, 100), "val__wer": series([1.0] * 3, 100, 100)}
    assert len(fires(check, run(loss=series(trained, 10, 10), **measures))) == found
