"""Waiting for data is said from a fifth of the step on."""

import numpy as np
import pytest

from lmdiag.finding import Severity
from lmdiag.rules.throughput.data_starvation import check
from tests.rules.curves import falling, fires, run


def waiting(share: float, n: int = 100, seconds: float = 0.5):
    rng = np.random.default_rng(0)
    times = seconds * np.exp(rng.normal(0, 0.1, n))
    return run(loss=falling(n), step_time_s=times, data_time_s=share * times * np.exp(rng.normal(0, 0.1, n)))


@pytest.mark.parametrize(
    ("share", "severity"), [(0.3, Severity.INFO), (0.4, Severity.WARNING), (0.8, Severity.WARNING)]
)
def test_severity_follows_the_share(share, severity):
    (found,) = fires(check, waiting(share))
    assert found.severity is severity
    assert found.evidence["share"] == pytest.approx(share, rel=0.05)


def test_waits_counted_apart_from_the_step():
    (found,) = fires(check, waiting(3.0))
    assert found.evidence["share"] == pytest.approx(0.75, rel=0.05)


def test_silent_on_fast_loaders_first_batches_and_tiny_loops():
    assert fires(check, waiting(0.05)) == []
    assert fires(check, waiting(0.5, seconds=0.001)) == []
    times, waits = np.ones(100), np.full(100, 0.01)
    waits[:4] = 0.9
    assert fires(check, run(loss=falling(100), step_time_s=times, data_time_s=waits)) == []


@pytest.mark.parametrize(("stop", "severity"), [(400, Severity.WARNING), (300, Severity.WARNING), (240, Severity.INFO)])
def test_a_stretch_that_waits_is_told_by_its_steps_and_its_cost(stop, severity):
    rng = np.random.default_rng(0)
    works, waits = np.exp(rng.normal(0, 0.05, 400)), np.full(400, 0.01)
    waits[200:stop] = 1.2
    (found,) = fires(check, run(loss=falling(400), step_time_s=works + waits, data_time_s=waits))
    assert (found.severity, found.first_step, found.last_step) == (severity, 201, stop)
    assert found.evidence["share"] == pytest.approx(1.2 / 2.2, rel=0.05)
    behind_fill = slice(20, None)  # the first twentieth fills the buffers
    lost = waits[behind_fill].sum() / (works + waits)[behind_fill].sum()
    assert found.evidence["share_of_run"] == pytest.approx(lost, rel=0.1)
