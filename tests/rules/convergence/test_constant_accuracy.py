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


def test_the_share_of_one_class_among_as_many_as_there_are_is_told():
    assert len(fires(check, evaluated([1 / 3] * 6, np.linspace(1.2, 1.1, 6)))) == 1


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
        ([0.1528, 0.3, *[0.8472] * 5], (0.7, *LOSSES)),
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
        "two differ",
        "5 of 8",
        "26 of 29",
    ],
)
def test_silent_otherwise(accuracies, losses):
    assert fires(check, evaluated(accuracies, losses)) == []


def test_silent_on_pairs():
    assert fires(check, replace(evaluated([0.8472] * 6, LOSSES), method="dpo")) == []
