"""Loss and accuracy that point to different checkpoints are reported."""

import pytest

from lmdiag.rules.generalization.metric_disagreement import check
from tests.rules.curves import falling, fires, healthy, run, series

RISING = series([0.6, 0.5, 0.45, 0.5, 0.55, 0.6], every=100, first=100)


def scored(*scores: float, name: str = "accuracy", losses=RISING):
    return run(loss=falling(600), val__loss=losses, **{f"val__{name}": series(scores, every=100, first=100)})


@pytest.mark.parametrize("name", ["accuracy", "f1", "auc"])
def test_fires_with_both_steps(name):
    (found,) = fires(check, scored(0.7, 0.75, 0.8, 0.83, 0.85, 0.86, name=name))
    assert (found.first_step, found.last_step) == (300, 600)
    assert "step 600" in found.advice[0]


@pytest.mark.parametrize(
    "scores", [(0.7, 0.75, 0.8, 0.79, 0.78, 0.77), (0.7, 0.75, 0.8, 0.8, 0.8, 0.805)], ids=["falls", "stands"]
)
def test_silent_when_the_metric_agrees(scores):
    assert fires(check, scored(*scores)) == []


def test_silent_while_the_loss_falls():
    falls = series([0.6, 0.55, 0.5, 0.48, 0.46, 0.45], every=100, first=100)
    assert fires(check, scored(0.7, 0.75, 0.8, 0.83, 0.85, 0.86, losses=falls)) == []


def test_silent_on_healthy_runs():
    assert fires(check, healthy(500)) == []
