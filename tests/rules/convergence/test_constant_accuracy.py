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


@pytest.mark.parametrize(
    ("accuracies", "losses"),
    [
        ([0.8472] * 5 + [0.8479], LOSSES),
        ([0.8472] * 6, [0.5, 0.4, 0.3, 0.25, 0.2, 0.2]),
        ([0.8472] * 6, [0.5] * 6),
        ([0.0] * 6, LOSSES),
        ([1.0] * 6, LOSSES),
        ([0.8472] * 4, LOSSES[:4]),
    ],
    ids=["it moves", "the model knows more", "the loss stands", "not computed", "all right", "too few"],
)
def test_silent_otherwise(accuracies, losses):
    assert fires(check, evaluated(accuracies, losses)) == []


def test_silent_on_pairs():
    assert fires(check, replace(evaluated([0.8472] * 6, LOSSES), method="dpo")) == []
