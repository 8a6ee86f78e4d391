"""An evaluation far below training is suspicious; the usual few percent are not."""

from dataclasses import replace

import numpy as np
import pytest

from lmdiag.finding import Severity
from lmdiag.rules.generalization.evaluation_below_training import check
from tests.rules.curves import falling, fires, healthy, run, series


def made(ratio, noise: float = 0.05):
    clean = falling(1000, start=5, floor=3, noise=0)
    at = np.arange(100, 1001, 100)
    return run(
        loss=falling(1000, start=5, floor=3, noise=noise), val__loss=series(ratio * clean[at - 1], every=100, first=100)
    )


@pytest.mark.parametrize(
    ("ratio", "severity"),
    [(0.85, Severity.INFO), (0.75, Severity.INFO), (0.6, Severity.WARNING), (0.25, Severity.WARNING)],
)
def test_a_ratio_from_the_first_evaluation_on_is_a_warning_where_it_is_far_off(ratio, severity):
    (found,) = fires(check, made(ratio))
    assert found.severity is severity
    assert found.evidence["ratio"] == pytest.approx(ratio, abs=0.02)


def test_a_ratio_that_falls_in_the_run_begins_where_it_fell():
    whole = made(1.0)
    evaluations = whole["val/loss"].values * np.where(np.arange(10) < 5, 1, 0.4)
    (found,) = fires(check, run(loss=whole["loss"], val__loss=series(evaluations, every=100, first=100)))
    assert (found.first_step, found.last_step) == (600, 1000)


def test_label_smoothing_explains_it():
    smoothed = replace(made(0.6), config={"label_smoothing": 0.1})
    assert fires(check, smoothed)[0].severity is Severity.INFO


def test_so_does_what_distorts_speech_in_training():
    speech = made(0.6)
    measured = replace(speech, series={**speech.series, "val/wer": speech["val/loss"]})
    assert fires(check, measured)[0].severity is Severity.INFO


def test_a_ratio_that_falls_during_the_run_is_a_warning():
    (found,) = fires(check, made(np.linspace(1.0, 0.4, 10)))
    assert found.severity is Severity.WARNING


@pytest.mark.parametrize("ratio", [0.95, 1.0, 1.3])
def test_silent_near_or_above_training(ratio):
    assert fires(check, made(ratio)) == []


def test_silent_when_both_are_memorised():
    tiny = run(loss=np.full(400, 0.02), val__loss=series(np.full(8, 0.001), every=50, first=50))
    assert fires(check, tiny) == []


def test_silent_on_healthy_runs():
    for seed in range(6):
        assert fires(check, healthy(500, seed)) == []
