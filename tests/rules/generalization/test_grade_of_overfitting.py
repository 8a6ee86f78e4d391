"""How grave an overfitting is, and what to do, follows from the answers, the training and the way it rose."""

import numpy as np
import pytest

from lmdiag.finding import Severity
from lmdiag.rules.generalization.overfitting import check
from lmdiag.run import Run, Series
from tests.rules.curves import fires, overfit, pairs, run, series


@pytest.mark.parametrize(("epochs", "words"), [(2.4, "1 epoch is enough"), (9.6, "4 epochs are enough")])
def test_the_epochs_that_are_enough_are_named(epochs, words):
    made = overfit()
    epoch = series(np.linspace(0, epochs, 1200))
    (found,) = fires(check, Run("a", {**made.series, "epoch": epoch}))
    assert words in found.advice[1]


@pytest.mark.parametrize(
    ("rise", "severity"), [(0.33, Severity.ERROR), (0.1, Severity.WARNING), (0.035, Severity.INFO)]
)
def test_severity_follows_the_rise(rise, severity):
    (found,) = fires(check, overfit(evaluations=30, best=15, rise=rise, noise=0.0))
    assert found.severity is severity


@pytest.mark.parametrize(("best", "severity"), [(8, Severity.WARNING), (15, Severity.INFO)])
def test_a_small_rise_over_half_of_the_run_is_a_warning(best, severity):
    (found,) = fires(check, overfit(evaluations=30, best=best, rise=0.035, noise=0.0))
    assert found.severity is severity


def test_a_task_measure_that_still_improves_makes_it_a_warning():
    made = overfit()
    improving = Series(made["val/loss"].steps, np.linspace(0.5, 0.7, len(made["val/loss"])))
    (found,) = fires(check, run(loss=made["loss"], val__loss=made["val/loss"], val__f1=improving))
    assert found.severity is Severity.WARNING
    assert "if val/f1 counts" in found.advice[0]


@pytest.mark.parametrize(
    ("rise", "accuracy", "severity"),
    [
        (0.06, 0.7, Severity.INFO),
        (0.06, 0.5, Severity.WARNING),
        (0.33, 0.502, Severity.WARNING),
        (0.33, 0.45, Severity.ERROR),
    ],
)
def test_what_no_answer_was_lost_by_is_no_error(rise, accuracy, severity):
    made = overfit(evaluations=30, best=20, rise=rise, noise=0.0)
    scores = Series(made["val/loss"].steps, np.linspace(0.5, accuracy, len(made["val/loss"])))
    (found,) = fires(check, run(loss=made["loss"], val__loss=made["val/loss"], val__accuracy=scores))
    assert found.severity is severity


def test_a_gain_of_hardly_any_answers_outweighs_no_loss():
    made = overfit(evaluations=30, best=20, rise=0.06, noise=0.0)
    scores = Series(made["val/loss"].steps, np.linspace(0.0, 0.03, len(made["val/loss"])))
    (found,) = fires(check, run(loss=made["loss"], val__loss=made["val/loss"], val__accuracy=scores))
    assert found.severity is Severity.WARNING


def test_a_measure_that_ends_a_little_better_has_its_own_checkpoint():
    made = overfit(evaluations=30, best=20, rise=0.33, noise=0.0)
    scores = Series(made["val/loss"].steps, np.r_[np.linspace(0.8, 0.9387, 21), np.linspace(0.9387, 0.9436, 10)[1:]])
    (found,) = fires(check, run(loss=made["loss"], val__loss=made["val/loss"], val__f1=scores))
    assert found.severity is Severity.WARNING
    assert found.advice[0].startswith("Keep the checkpoint of step 3,000 if val/f1 counts")


@pytest.mark.parametrize(("between", "found"), [(1, True), (6, False)])
def test_what_rises_at_once_may_be_evaluated_otherwise(between, found):
    rise = np.clip(np.arange(24) - 12, 0, between) / between
    evaluations = series(np.linspace(3.2, 3.0, 24) + 2 * rise, every=100, first=100)
    (told,) = fires(check, run(loss=np.linspace(3.2, 2.8, 2400), val__loss=evaluations))
    assert told.advice[0].startswith("Evaluate the checkpoint of step 1,300 again") is found
    assert ("between step 1,300 and step 1,400" in told.advice[0]) is found


def test_what_was_best_before_training_may_be_evaluated_wrongly():
    evaluations = series(np.linspace(4.7, 6.4, 13), every=100, first=0)
    (found,) = fires(check, run(loss=overfit()["loss"], val__loss=evaluations))
    assert found.advice[0].startswith("Evaluate on a part of the training text")
    assert not any("Keep" in line for line in found.advice)


@pytest.mark.parametrize(("epochs", "words"), [(0.4, "no text came twice"), (4, "epochs are enough")])
def test_what_was_read_once_is_not_learned_by_heart(epochs, words):
    made = overfit()
    read = Series(made["loss"].steps, np.linspace(0, epochs, len(made["loss"])))
    (found,) = fires(check, run(loss=made["loss"], val__loss=made["val/loss"], epoch=read))
    assert words in " ".join(found.advice)


def restarted(training: float, rise: float = 0.04) -> Run:
    """Return a run whose evaluations rise in its last quarter, with a training loss that rises by another share or falls."""
    rng = np.random.default_rng(0)
    at = np.arange(4000) / 4000
    up = np.clip((at - 0.75) / 0.05, 0, 1)
    losses = (1 - 0.2 * np.clip(at, 0, 0.75)) * (1 + training * up) + rng.normal(0, 0.01, 4000)
    level = (1.9 - 0.3 * np.clip(at, 0, 0.75)) * (1 + rise * up)
    return run(loss=losses, val__loss=series(level[99::100] + rng.normal(0, 0.003, 40), every=100, first=100))


@pytest.mark.parametrize(
    ("training", "rise", "severity"), [(0.045, 0.04, Severity.INFO), (0.08, 0.11, Severity.WARNING)]
)
def test_a_training_loss_that_rises_as_well_is_one_degree_less(training, rise, severity):
    (found,) = fires(check, restarted(training, rise))
    assert found.severity is severity
    assert "the training loss rose as well" in found.message
    assert found.advice[-1].startswith("Look at what raised both losses")


@pytest.mark.parametrize("training", [-0.05, 0.0, 0.01])
def test_a_training_loss_that_stays_or_falls_takes_nothing_away(training):
    (found,) = fires(check, restarted(training))
    assert found.severity is Severity.WARNING
    assert "as well" not in found.message


@pytest.mark.parametrize(("end", "words"), [(8.0, "%, "), (240.0, ": 89 times as much")])
def test_a_manifold_rise_is_told_in_times(end, words):
    losses = np.r_[3.0, 2.7, 2.4, np.linspace(2.4, end, 4)[1:], [end] * 8]
    (found,) = fires(check, run(loss=np.linspace(4, 0.5, 1400), val__loss=series(losses, every=100, first=100)))
    assert words in found.message


@pytest.mark.parametrize(("scale", "count"), [(1e-6, 0), (0.2, 1)])
def test_pairs_that_are_all_ranked_correctly_are_not_learned_by_heart(scale, count):
    """Where no pair of the evaluation is wrong, the digits of its loss say nothing."""
    risen = scale * np.array([1.0, 1.09, 1.15, 1.15, 1.3, 1.4, 1.5])
    trained = pairs(700, loss=np.geomspace(0.7, scale / 10, 700), val__loss=series(risen, every=100, first=100))
    assert len(fires(check, trained)) == count


@pytest.mark.parametrize(("last", "severity"), [(1.0, Severity.INFO), (0.998, Severity.ERROR)])
def test_a_loss_that_rises_while_every_answer_is_right_is_no_harm(last, severity):
    made = overfit()
    scores = series([0.9, *[1.0] * 8, last, last, last], every=100, first=100)
    (found,) = fires(check, Run("a", {**made.series, "val/accuracy": scores}))
    assert found.severity is severity
    assert ("all answers are right" in found.message) == (last == 1)
