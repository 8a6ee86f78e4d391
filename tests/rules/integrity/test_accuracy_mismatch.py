"""A cross-entropy is at least (1 - accuracy) ln 2."""

import numpy as np
import pytest

from lmdiag.finding import NotChecked
from lmdiag.rules.integrity.accuracy_mismatch import check
from tests.rules.curves import falling, fires, run

LOSS = falling(100, start=3.0, floor=1.0)
ACCURACY = np.linspace(0.2, 0.5, 100)


def test_a_loss_that_is_divided_once_too_often():
    (found,) = fires(check, run(loss=LOSS / 8, accuracy=ACCURACY))
    assert found.metric == "loss"
    assert found.evidence["share"] > 0.8
    assert "cannot both be right" in found.message


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
