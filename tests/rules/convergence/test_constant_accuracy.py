"""An accuracy that is the same in every evaluation while the loss moves is that of one class."""

from dataclasses import replace

import numpy as np
import pytest

from lmdiag.rules.convergence.constant_accuracy import check
from lmdiag.run import Run
from tests.rules.curves import falling, fires, run, series


def evaluated(accuracies: object, losses: object, **more: object) -> Run:
    n = len(np.asarray(losses))
    return run(
        loss=falling(100 * n),
        val__loss=series(losses, every=100, first=100),
        val__accuracy=series(accuracies, every=100, first=100),
        **more,
    )


LOSSES = (0.62, 0.55, 0.50, 0.47, 0.45, 0.44)


def test_the_share_of_one_class_in_every_evaluation():
    (found,) = fires(check, evaluated([0.8472] * 6, LOSSES))
    assert (found.first_step, found.last_step) == (100, 600)
    assert found.evidence == {"accuracy": 0.8472, "lowest_loss": 0.44, "highest_loss": 0.62}


def test_the_first_evaluation_may_differ():
    (found,) = fires(check, evaluated([0.1528, *[0.8472] * 5], LOSSES))
    assert (found.first_step, found.last_step) == (200, 600)
    assert "in all 5 evaluations behind the first" in found.message


def test_the_answer_may_change_before_it_settles():
    (found,) = fires(check, evaluated([0.8474, 0.8474, 0.8471, *[0.8472] * 6], np.linspace(0.8, 0.44, 9)))
    assert (found.first_step, found.last_step) == (400, 900)
    assert "in all 6 evaluations behind the first 3" in found.message


def test_the_share_of_one_class_among_as_many_as_there_are_is_told():
    assert len(fires(check, evaluated([1 / 3] * 6, np.linspace(1.2, 1.1, 6)))) == 1


def test_a_loss_that_costs_what_a_guess_of_the_shares_does():
    guess = -0.8472 * np.log(0.8472) - 0.1528 * np.log(0.1528)
    near = guess * (1 + 0.01 * np.array([3, -1, 1, 0, 1, -1]))
    assert len(fires(check, evaluated([0.8472] * 6, near))) == 1
    assert fires(check, evaluated([0.8472] * 6, 1.1 * np.full(6, guess))) == []


def test_an_f1_of_0_beside_an_accuracy_that_never_moves():
    (found,) = fires(check, evaluated([0.8472] * 6, [0.5] * 6, val__f1=series([0.0] * 6, every=100, first=100)))
    assert found.evidence == {"accuracy": 0.8472, "f1": 0.0}
    moves = series([0.0, 0.0, 0.0, 0.1, 0.2, 0.3], every=100, first=100)
    assert fires(check, evaluated([0.8472] * 6, [0.5] * 6, val__f1=moves)) == []


@pytest.mark.parametrize(
    ("accuracies", "losses"),
    [
        ([0.8472] * 5 + [0.8479], LOSSES),
        ([0.8472] * 6, [0.5, 0.4, 0.3, 0.25, 0.2, 0.2]),
        ([0.8472] * 6, [0.5] * 6),
        ([0.0] * 6, LOSSES),
        ([1.0] * 6, LOSSES),
        ([0.8472] * 4, LOSSES[:4]),
        ([0.1528, *[0.8472] * 4], LOSSES[:5]),
        ([0.1528, 0.3, 0.2, *[0.8472] * 5], (0.8, 0.7, *LOSSES)),
        ([0.625] * 6, np.linspace(0.74, 0.66, 6)),
        ([np.float32(26 / 29)] * 6, LOSSES),
    ],
    ids=[
        "it moves",
        "the model knows more",
        "the loss stands",
        "not computed",
        "all right",
        "too few",
        "too few behind the first",
        "three of eight differ",
        "5 of 8",
        "26 of 29",
    ],
)
def test_silent_otherwise(accuracies, losses):
    assert fires(check, evaluated(accuracies, losses)) == []


def test_silent_on_pairs():
    assert fires(check, replace(evaluated([0.8472] * 6, LOSSES), method="dpo")) == []


ONE_OF_THREE = round(2 * 0.65 / 1.65 / 3, 4)


def scored(accuracies: object, scores: object, decimals: int = 4) -> Run:
    n = len(np.asarray(accuracies))
    made = run(loss=falling(100 * n), test__accuracy=series(accuracies, 100, 100), test__f1=series(scores, 100, 100))
    return replace(made, series={**made.series, "test/f1": replace(made["test/f1"], decimals=decimals)})


@pytest.mark.parametrize(
    ("accuracy", "score"),
    [(0.65, ONE_OF_THREE), (0.8472, round(2 * 0.8472 / 1.8472, 4)), (0.3, round(0.3 * 0.6 / 1.3, 4))],
    ids=["mean of three classes", "of the class itself", "weighted by the class"],
)
def test_the_f1_of_one_class_beside_its_share_needs_no_loss_of_the_set(accuracy, score):
    (found,) = fires(check, scored([accuracy] * 5, [score] * 5))
    assert (found.metric, found.first_step, found.last_step) == ("test/accuracy", 100, 500)
    assert found.evidence == {"accuracy": accuracy, "f1": score}


@pytest.mark.parametrize(
    ("accuracies", "scores", "decimals"),
    [
        ([0.65] * 5, [0.61] * 5, 4),
        ([0.65] * 4 + [0.6501], [ONE_OF_THREE] * 5, 4),
        ([0.65] * 5, [ONE_OF_THREE] * 4 + [0.27], 4),
        ([0.65] * 4, [ONE_OF_THREE] * 4, 4),
        ([0.65] * 5, [0.26] * 5, 2),
    ],
    ids=["classes are told apart", "the accuracy moves", "the F1 moves", "too few", "rounded to hundredths"],
)
def test_silent_where_the_f1_is_not_that_of_one_class(accuracies, scores, decimals):
    assert fires(check, scored(accuracies, scores, decimals)) == []


def answered(accuracies: object) -> Run:
    return run(loss=falling(100 * len(np.asarray(accuracies))), test__accuracy=series(accuracies, 100, 100))


def test_two_classes_that_take_turns():
    (found,) = fires(check, answered([0.3125] * 4 + [0.6875] * 2 + [0.3125] * 2))
    assert (found.first_step, found.evidence) == (100, {"lowest": 0.3125, "highest": 0.6875})
    assert "0.3125 or 0.6875 in all 8 evaluations" in found.message


@pytest.mark.parametrize(
    "accuracies",
    [
        [0.3125] * 4 + [0.6875] * 3 + [0.75],
        [0.3125] * 5 + [0.625] * 3,
        [0.3125] * 7 + [0.6875],
        [0.3125] * 4 + [0.6875] * 3,
        [1 / 3, 2 / 3] * 5,
        [0.5] * 9,
        [0.13] * 4 + [0.87] * 8,
        [0.45, 0.55, 0.55, 0.45, 0.55] * 2,
    ],
    ids=[
        "a third value",
        "they do not add up",
        "one of them once",
        "too few",
        "of three answers",
        "one value",
        "once",
        "of 20 answers",
    ],
)
def test_silent_where_two_classes_do_not_take_turns(accuracies):
    assert fires(check, answered(accuracies)) == []


def test_the_same_accuracy_of_many_answers_beside_a_loss_below_zero():
    made = run(loss=np.linspace(-0.08, -0.07, 15), test__accuracy=np.full(15, 421 / 2011), objective="signed")
    (found,) = fires(check, made)
    assert (
        "is 0.2093 in all 15 evaluations, to the last digit, while the loss goes from -0.08 to -0.07" in found.message
    )


@pytest.mark.parametrize(
    ("accuracy", "records", "loss"),
    [
        (421 / 2011, 6, (-0.08, -0.07)),  # too few
        (0.2, 15, (-0.08, -0.07)),  # one in five may be of five answers
        (1911 / 2011, 15, (-0.08, -0.07)),  # the model may know all that it can
        (421 / 2011, 15, (-0.08, -0.0801)),  # nothing is trained
    ],
)
def test_few_or_good_answers_may_be_the_same_again(accuracy, records, loss):
    made = run(loss=np.linspace(*loss, records), test__accuracy=np.full(records, accuracy), objective="signed")
    assert fires(check, made) == []


def test_an_accuracy_that_changes_by_one_answer_moves():
    accuracies = np.full(15, 421 / 2011)
    accuracies[7] = 422 / 2011
    assert fires(check, run(loss=np.linspace(-0.08, -0.07, 15), test__accuracy=accuracies, objective="signed")) == []


@pytest.mark.parametrize(
    ("accuracy", "decimals", "told"),
    [
        (0.7188, 4, 0),  # 23 of 32
        (0.7344, 4, 0),  # 47 of 64
        (0.812, 3, 0),  # 13 of 16
        (0.8472, 4, 1),
        (0.847, 3, 1),
    ],
)
def test_few_answers_show_in_the_digits_that_are_printed(accuracy, decimals, told):
    printed = replace(series([accuracy] * 6, every=100, first=100), decimals=decimals)
    losses = series(np.linspace(0.66, 0.6, 6), every=100, first=100)
    made = run(loss=falling(600), val__loss=losses, val__accuracy=printed)
    assert len(fires(check, made)) == told


@pytest.mark.parametrize("name", ["baseline", "teacher", "ref", "majority"])
def test_what_is_not_trained_keeps_its_accuracy(name):
    same = {f"{name}__accuracy": np.full(60, 0.4217)}
    assert fires(check, run(loss=np.linspace(9, 3, 60), **same)) == []
    assert len(fires(check, run(loss=np.linspace(9, 3, 60), held__accuracy=np.full(60, 0.4217)))) == 1


def passes(**changed: object) -> Run:
    """Four passes behind which training and evaluation answer alike, and pay what the shares of three classes cost."""
    measures = {
        "loss": [1.052, 1.031, 1.029, 1.03],
        "accuracy": [0.462, 0.471, 0.468, 0.47],
        "val__loss": [1.0291, 1.0288, 1.0296, 1.0287],
        "val__accuracy": [0.4731] * 4,
    }
    return replace(run(**(measures | changed)), step_kind="epoch")


def test_few_passes_that_teach_nothing_but_the_shares():
    (found,) = fires(check, passes())
    assert found.message.startswith(
        "val/accuracy is 0.4731 in all 4 evaluations, the loss beside it from 1.029 to 1.03, and"
    )
    assert found.evidence == {"accuracy": 0.4731, "lowest_loss": 1.0287, "highest_loss": 1.0296}
    assert len(fires(check, passes(accuracy=np.empty(0)))) == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"loss": [1.052, 1.031, 1.014, 1.002]},
        {"loss": [1.152, 1.031, 1.029, 1.03]},
        {"loss": [0.902, 0.891, 0.889, 0.89]},
        {"loss": [1.052, 0.981, 1.089, 1.03]},
        {"accuracy": [0.462, 0.471, 0.478, 0.49]},
        {"accuracy": [0.662, 0.661, 0.658, 0.66]},
        {"val__loss": [1.0591, 1.0288, 1.0296, 1.0187]},
        {"val__accuracy": [0.4731, 0.4731, 0.4731, 0.4732]},
        {"val__accuracy": [0.5714] * 4},  # 4 of 7
        {
            "loss": [0.303, 0.301, 0.3, 0.3],
            "val__loss": [0.3] * 4,
            "accuracy": [0.86] * 4,
            "val__accuracy": [0.8653] * 4,
        },
    ],
    ids="learns falls apart noisy better more moves differs few knows".split(),
)
def test_few_passes_say_nothing_where_one_measure_does_not_agree(changed):
    assert fires(check, passes(**changed)) == []


def test_the_first_steps_may_leave_everything_where_it_is():
    assert fires(check, replace(passes(), step_kind="step")) == []
    begun = replace(
        passes(), step_kind="epoch", series={n: series(s.values, first=40) for n, s in passes().series.items()}
    )
    assert fires(check, begun) == []


@pytest.mark.parametrize(
    ("accuracy", "cost", "ends", "found"),
    [(0.716, 0.597, 1.0, 1), (0.912, 0.298, 1.0, 0), (0.716, 0.612, 0.985, 0)],
    ids=["a class", "fitted", "the evaluation falls"],
)
def test_few_passes_of_a_model_that_knows_its_task(accuracy, cost, ends, found):
    measures = {
        "loss": cost * np.array([1.002, 1.001, 1.0, 1.001]),
        "val__loss": cost * np.linspace(1.0, ends, 4),
        "accuracy": [accuracy] * 4,
        "val__accuracy": [accuracy] * 4,
    }
    made = replace(run(**{name: series(values) for name, values in measures.items()}), step_kind="epoch")
    assert len(fires(check, made)) == found
