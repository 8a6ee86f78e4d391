"""Memory that grows all along is a leak; what saturates, jumps or wobbles is not."""

import numpy as np
import pytest

from lmdiag.finding import Severity
from lmdiag.rules.throughput.memory_growth import check
from tests.rules.curves import falling, fires, run

N, GIB = 400, 2**30
RNG = np.random.default_rng(0)


def using(memory: np.ndarray, **more):
    return run(loss=falling(len(memory)), mem_bytes=memory * GIB, **more)


@pytest.mark.parametrize(("end", "severity"), [(15, Severity.WARNING), (11.7, Severity.INFO)])
def test_a_leak_with_its_rate_and_its_end(end, severity):
    (found,) = fires(check, using(np.linspace(10, end, N) + RNG.normal(0, 0.02, N), config={"max_steps": 4000}))
    assert found.severity is severity
    assert found.evidence["bytes_per_step"] == pytest.approx((end - 10) / N * GIB, rel=0.1)
    assert "at step 4,000" in found.advice[0]


@pytest.mark.parametrize(
    "memory",
    [
        np.full(N, 10.0),
        10 + RNG.normal(0, 1, N),
        10 + 5 * (1 - np.exp(-np.arange(N) / 40)),  # warm-up of the allocator
        np.r_[np.full(200, 10.0), np.full(200, 14.0)],  # a longer sequence
        np.maximum.accumulate(10 * np.exp(RNG.normal(0, 0.05, N))),  # a peak that is never reset
        np.linspace(0.010, 0.020, N),  # ten megabytes
    ],
)
def test_silent_or_information(memory):
    assert [f for f in fires(check, using(memory)) if f.severity is Severity.WARNING] == []
