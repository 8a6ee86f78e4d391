"""Memory that grows all along is a leak; what saturates, jumps or wobbles is not."""

from dataclasses import replace

import numpy as np
import pytest

from lmdiag.diagnose import diagnose
from lmdiag.finding import Severity
from lmdiag.rules.throughput.memory_growth import check
from lmdiag.run import Event
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


@pytest.mark.parametrize("onset", [120, 200, 260])
def test_a_leak_that_begins_later(onset):
    memory = np.r_[np.full(onset, 30.0), np.linspace(30, 60, N - onset)] + RNG.normal(0, 0.05, N)
    (found,) = fires(check, using(memory))
    assert found.severity is Severity.WARNING
    assert found.first_step == pytest.approx(onset, abs=N // 20)
    assert f"Memory grew steadily from step {found.first_step} on, from" in found.message
    assert found.evidence["bytes_per_step"] == pytest.approx(30 / (N - onset) * GIB, rel=0.1)


def test_memory_that_wanders_does_not_grow_from_some_step_on():
    for seed in range(200):
        walk = 10 + np.cumsum(np.random.default_rng(seed).normal(0, 0.2, N))
        assert "from step" not in "".join(f.message for f in fires(check, using(np.maximum(walk, 1))))


@pytest.mark.parametrize(
    "memory",
    [
        np.full(N, 10.0),
        10 + RNG.normal(0, 1, N),
        10 + 5 * (1 - np.exp(-np.arange(N) / 40)),  # warm-up of the allocator
        np.r_[np.full(200, 10.0), np.full(200, 14.0)],  # a longer sequence
        np.maximum.accumulate(10 * np.exp(RNG.normal(0, 0.05, N))),  # a peak that is never reset
        np.r_[np.full(200, 10.0), 10 + 5 * (1 - np.exp(-np.arange(200) / 60))],  # a cache that fills later
        np.linspace(0.010, 0.020, N),  # ten megabytes
    ],
)
def test_silent_or_information(memory):
    assert [f for f in fires(check, using(memory)) if f.severity is Severity.WARNING] == []


@pytest.mark.parametrize(
    ("said", "severity"), [("CUDA out of memory.", Severity.ERROR), ("KeyError: 'a'", Severity.WARNING)]
)
def test_a_leak_that_ended_the_run_is_its_cause(said, severity):
    events = (Event("exception", N, said), Event("end", N, fields={"status": "crashed"}))
    found = diagnose(replace(using(np.linspace(30, 58, N) + RNG.normal(0, 0.02, N)), events=events)).findings
    (leak,) = (f for f in found if f.rule == "memory-growth")
    (crash,) = (f for f in found if f.rule == "crashed-run")
    assert leak.severity is severity
    assert (crash.consequence_of == "memory-growth") == (severity is Severity.ERROR)
    assert ("until there was no more" in leak.message) == (severity is Severity.ERROR)
    assert ("would be full" in leak.advice[0]) != (severity is Severity.ERROR)
