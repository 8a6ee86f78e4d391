"""A run is held against what guessing and counting reach."""

from math import log

import numpy as np
import pytest

from lmdiag.finding import Severity
from lmdiag.rules.data.worse_than_reference import check
from tests.rules.curves import fires, healthy, run, series

REFERENCES = {"uniform": 6.0, "unigram": 5.0, "bigram": 4.0}


def ends_at(level: float, **config):
    loss = np.r_[np.linspace(7, level, 20), np.full(80, level)]
    return run(loss=loss, config=config or {"reference_loss": REFERENCES})


@pytest.mark.parametrize(
    ("level", "words", "severity"),
    [
        (6.5, "equal probability", Severity.WARNING),
        (5.3, "how often", Severity.WARNING),
        (4.5, "token before", Severity.INFO),
    ],
)
def test_names_the_reference(level, words, severity):
    (found,) = fires(check, ends_at(level))
    assert words in found.message
    assert found.severity is severity


def test_a_training_loss_that_falls_is_not_said_of_the_evaluation():
    loss = np.linspace(9, 6.5, 100)
    evaluations = series([6.0, 7.0, 8.0], every=30, first=30)
    (found,) = fires(check, run(loss=loss, val__loss=evaluations, config={"reference_loss": REFERENCES}))
    assert found.message.startswith("val/loss has a median of 7 over its last 3 values")
    assert found.message.endswith(
        ", although the training loss was lower in the last fifth of the records than in the fifth before."
    )


def test_the_vocabulary_gives_the_uniform_guess():
    (found,) = fires(check, ends_at(9.0, model={"vocab_size": 1000}))
    assert found.evidence["reference"] == pytest.approx(log(1000))


def test_the_evaluation_decides():
    made = run(loss=np.full(100, 6.5), val__loss=series([3, 3, 3]), config={"reference_loss": REFERENCES})
    assert fires(check, made) == []


def test_a_learning_rate_is_named_where_the_log_has_one():
    made = run(loss=np.full(100, 6.5), lr=np.full(100, 2e-6), config={"reference_loss": REFERENCES})
    assert "learning rates ten times larger and smaller (the peak was 2e-6)" in fires(check, made)[0].advice[-1]
    assert "learning rate" not in fires(check, ends_at(6.5, reference_loss=REFERENCES))[0].advice[-1]


def test_information_while_the_loss_falls():
    made = run(loss=np.linspace(9, 6.5, 100), config={"reference_loss": REFERENCES})
    assert fires(check, made)[0].severity is Severity.INFO


@pytest.mark.parametrize(
    ("end", "config", "severity"),
    [
        (7.0, {"max_steps": 90}, Severity.WARNING),
        (6.35, {"max_steps": 90}, Severity.INFO),
        (7.0, {"max_steps": 400}, Severity.INFO),
    ],
)
def test_the_fall_of_a_run_that_is_over_must_be_as_large_as_what_is_left(end, config, severity):
    (found,) = fires(check, run(loss=np.linspace(9, end, 100), config={"reference_loss": REFERENCES, **config}))
    assert found.severity is severity
    assert "although it was lower in the last fifth" in found.message


@pytest.mark.parametrize(
    "config", [{"max_steps": 1000, "reference_loss": REFERENCES}, {"reference_loss": {"uniform": 9.0}}]
)
def test_silent_early_or_below(config):
    assert fires(check, ends_at(6.5, **config)) == []


def test_silent_on_healthy_runs():
    assert fires(check, healthy(500)) == []


@pytest.mark.parametrize(
    ("last", "training", "severity"),
    [(5.3, np.full(100, 5.5), Severity.INFO), (5.48, np.linspace(9, 5, 100), Severity.WARNING)],
)
def test_evaluations_tell_whether_it_still_falls_before_the_training_loss_does(last, training, severity):
    evaluations = series(np.r_[np.full(6, 5.6), np.linspace(5.5, last, 4)], every=10, first=10)
    (found,) = fires(check, run(loss=training, val__loss=evaluations, config={"reference_loss": REFERENCES}))
    assert found.severity is severity
    assert ("it still fell from 5.5 at step 70" in found.message) == (severity is Severity.INFO)


@pytest.mark.parametrize(
    "evaluations", [{"val__loss": series([4.8, 27, 31, 31, 30, 26.9, 26], every=14, first=14)}, {}]
)
def test_a_run_that_has_risen_does_not_fall(evaluations):
    loss = np.r_[np.linspace(4.8, 30, 60), np.linspace(30, 20, 40)]
    (found,) = fires(check, run(loss=loss, config={"reference_loss": REFERENCES}, **evaluations))
    assert found.severity is Severity.WARNING
    assert "although" not in found.message
