"""Spikes that keep time are told with their period; spikes at random are not."""

import numpy as np
import pytest

from lmdiag.rules.spikes.periodic_spikes import check
from tests.rules.curves import falling, fires, healthy, run


def with_spikes(rows, n: int = 600, seed: int = 0):
    loss = falling(n, noise=0.02, seed=seed)
    loss[rows] *= 1.4
    return run(loss=loss, every=10, first=10)


@pytest.mark.parametrize(
    "rows", [range(99, 600, 100), [99, 199, 299, 499, 599 - 10], [50, 101, 149, 200, 251, 300, 351]]
)
def test_the_period_is_named(rows):
    (found,) = fires(check, with_spikes(list(rows)))
    assert found.evidence["period"] == pytest.approx(10 * np.median(np.diff(list(rows))))


@pytest.mark.parametrize("seed", range(10))
def test_silent_on_spikes_at_random(seed):
    rows = np.sort(np.random.default_rng(seed).choice(np.arange(30, 590, 9), 8, replace=False))
    assert fires(check, with_spikes(rows)) == []


def test_silent_on_few_and_on_healthy_runs():
    assert fires(check, with_spikes([100, 200, 300, 400])) == []
    assert fires(check, healthy(400)) == []
