"""Pauses that come back every so many steps are said; evaluations are never more than information."""

import numpy as np
import pytest

from lmdiag.finding import NotChecked, Severity
from lmdiag.rules.throughput.periodic_stall import check
from tests.rules.curves import falling, fires, healthy, run, series


def stalled(period: int, factor: float, n: int = 1000, seconds: float = 1.0) -> np.ndarray:
    times = seconds * np.exp(np.random.default_rng(0).normal(0, 0.1, n))
    times[period - 1 :: period] *= factor
    return times


def test_slow_checkpoints_are_a_warning():
    (found,) = fires(check, run(loss=falling(1000), step_time_s=stalled(50, 60, seconds=5)))
    assert found.severity is Severity.WARNING
    assert found.evidence["period_steps"] == 50
    assert found.evidence["share"] == pytest.approx(0.54, abs=0.03)


def test_little_time_is_information():
    (found,) = fires(check, run(loss=falling(1000), step_time_s=stalled(50, 10)))
    assert found.severity is Severity.INFO


def test_a_clock_tells_of_the_steps_since_the_last_record():
    clock = np.cumsum(50 * stalled(50, 60, n=390, seconds=0.5))
    (found,) = fires(check, run(loss=series(falling(390), 50, 50), elapsed_s=series(clock, 50, 50)))
    assert found.severity is Severity.WARNING
    assert found.message.startswith("Every 2,500 steps one record shows ")
    assert found.message.endswith("that costs 54% of the time.")


@pytest.mark.parametrize(
    ("metric", "factor", "severity", "share"),
    [
        ("step_time_s", 60, Severity.INFO, "54%"),
        ("step_time_s", 2000, Severity.WARNING, "98%"),
        ("tokens_per_sec", 60, Severity.INFO, "54%"),
    ],
)
def test_a_record_may_tell_of_a_single_step(metric, factor, severity, share):
    """nanoGPT prints the time of one iteration every ten: what the other nine took is not known, and may be most of the time."""
    times = stalled(50, factor, seconds=5)
    logged = series(1e5 / times if metric == "tokens_per_sec" else times, 50, 50)
    (found,) = fires(check, run(loss=series(falling(1000), 50, 50), **{metric: logged}))
    assert found.severity is severity
    assert found.message.endswith(f"{share} of the time that the records tell of is lost so.")


def test_speeds_tell_of_pauses_where_there_are_no_step_times():
    (found,) = fires(check, run(loss=falling(1000), tokens_per_sec=1e5 / stalled(50, 60)))
    assert found.severity is Severity.WARNING


def test_evaluations_are_information():
    made = run(loss=falling(1000), step_time_s=stalled(50, 60, seconds=5), val__loss=series(np.ones(20), 50, 50))
    (found,) = fires(check, made)
    assert found.severity is Severity.INFO
    assert "when the run evaluates" in found.message
    assert "every 100 steps" in found.advice[0]


def test_silent_on_irregular_rare_and_cheap_pauses():
    rng = np.random.default_rng(1)
    times = np.ones(1000)
    times[rng.choice(1000, 20, replace=False)] = 60
    assert fires(check, run(loss=falling(1000), step_time_s=times)) == []
    assert fires(check, run(loss=falling(1000), step_time_s=stalled(300, 60))) == []
    assert fires(check, run(loss=falling(1000), step_time_s=stalled(100, 4))) == []


def test_silent_on_a_slow_second_half_and_not_checked_without_times():
    assert fires(check, run(loss=falling(400), step_time_s=np.r_[np.ones(330), np.full(70, 9.0)])) == []
    assert [type(said) for said in check.look(healthy(100))] == [NotChecked]


def test_a_few_pauses_at_random_places_keep_no_time():
    found = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        times = np.full(200, 20.0)
        times[rng.choice(np.arange(20, 200), int(rng.integers(5, 9)), replace=False)] *= 30
        found += len(fires(check, run(loss=falling(200), step_time_s=times)))
    assert found <= 2
