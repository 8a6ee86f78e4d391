"""Phases of a learning-rate schedule, and whether a log holds the start of its run."""

import numpy as np
import pytest

from lmdiag.stats.phases import holds_start, phases
from tests.rules.curves import cosine_lr


def test_phases_of_warmup_and_cosine():
    steps = np.arange(1, 1001)
    found = phases(steps, cosine_lr(1000))
    assert found is not None
    assert 45 <= found.warm_step <= 55
    assert found.final < 0.1
    assert not found.still_warming


def test_a_log_that_ends_in_warmup_says_so():
    found = phases(np.arange(100), np.linspace(1e-6, 1e-3, 100))
    assert found is not None
    assert found.still_warming


@pytest.mark.parametrize("lr", [[], [0.0, 0.0], [np.nan, np.nan]])
def test_a_rate_that_was_never_positive_has_no_phases(lr):
    assert phases(np.arange(len(lr)), np.array(lr)) is None


@pytest.mark.parametrize(
    ("steps", "held"),
    [
        (range(1, 101), True),
        (range(0, 5000, 250), True),
        (range(500, 5001, 500), True),
        (range(8002, 10000), False),
        (range(32950, 99400, 50), False),
        ([7], False),
        ([1], True),
        ([], False),
    ],
)
def test_holds_start(steps, held):
    assert holds_start(np.array(list(steps))) is held
