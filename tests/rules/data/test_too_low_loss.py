"""A run from scratch that predicts everything has seen the answers."""

import numpy as np
import pytest

from lmdiag.finding import Severity
from lmdiag.rules.data.too_low_loss import check
from tests.rules.curves import falling, fires, healthy, run, series


def leaked(floor: float = 0.05, start: float = 10.8, **more):
    return run(loss=falling(500, start=start, floor=floor, noise=0.0), **more)


def test_a_warning_when_the_evaluation_is_as_low():
    (found,) = fires(check, leaked(val__loss=series([3, 0.5, 0.2, 0.1, 0.1], every=100, first=100)))
    assert found.severity is Severity.WARNING
    assert found.evidence["below_limit_at"] == found.first_step


def test_information_without_an_evaluation():
    (found,) = fires(check, leaked())
    assert found.severity is Severity.INFO


@pytest.mark.parametrize(
    "made",
    [
        leaked(val__loss=series([6, 5, 5, 6, 7], every=100, first=100)),
        leaked(start=2.5),
        leaked(start=5.5),
        leaked(floor=1.8),
        run(loss=np.full(50, 0.01), objective="classification"),
    ],
    ids=["memorised", "fine-tune", "bytes", "honest", "classification"],
)
def test_silent_otherwise(made):
    assert fires(check, made) == []


def test_silent_on_healthy_runs():
    assert fires(check, healthy(500)) == []
