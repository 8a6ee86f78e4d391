"""A run that gets slower and stays slower is said; pauses, scatter and compilation are not."""

import numpy as np
import pytest

from lmdiag.finding import NotChecked, Severity
from lmdiag.rules.throughput.slowdown import check
from tests.rules.curves import falling, fires, healthy, run


def timed(factor: float, n: int = 400, at: float = 0.6, seconds: float = 1.0, scatter: float = 0.05) -> np.ndarray:
    times = seconds * np.exp(np.random.default_rng(0).normal(0, scatter, n))
    times[int(at * n) :] *= factor
    times[0] *= 60
    return times


def test_a_third_of_the_time_lost_is_a_warning():
    (found,) = fires(check, run(loss=falling(400), step_time_s=timed(2, seconds=20)))
    assert found.severity is Severity.WARNING
    assert found.first_step == pytest.approx(241, abs=8)
    assert found.evidence["lost_s"] == pytest.approx(160 * 20, rel=0.1)
    assert "50% of the time since then is lost, 53 minutes." in found.message


def test_a_slow_stretch_that_is_over_is_said_with_its_end():
    times = timed(2, at=0.3, seconds=20)
    times[int(0.7 * 400) :] /= 2
    (found,) = fires(check, run(loss=falling(400), step_time_s=times))
    assert found.severity is Severity.WARNING
    assert (found.first_step, found.last_step) == (pytest.approx(121, abs=8), pytest.approx(280, abs=8))
    assert found.evidence["lost_s"] == pytest.approx(160 * 20, rel=0.1)
    assert "took 2 times as long as in the rest of the run" in found.message


def test_several_slow_stretches_cost_together_what_one_would():
    times = timed(1, seconds=20)
    for first in (60, 160, 260):
        times[first : first + 60] *= 2
    (found,) = fires(check, run(loss=falling(400), step_time_s=times))
    assert found.severity is Severity.WARNING
    assert (found.first_step, found.last_step) == (pytest.approx(61, abs=2), pytest.approx(320, abs=10))
    assert found.evidence["lost_s"] == pytest.approx(180 * 20, rel=0.1)
    assert "In 3 stretches from step 61 to step" in found.message


def test_a_slower_end_does_not_hide_the_slow_stretch_before_it():
    times = timed(3, at=0.8, seconds=20)
    times[80:180] *= 2
    (found,) = fires(check, run(loss=falling(400), step_time_s=times))
    assert found.first_step == pytest.approx(81, abs=2)
    assert found.evidence["before_s"] == pytest.approx(20, rel=0.05)


def test_steps_that_are_slow_for_most_of_the_run_are_measured_by_those_before():
    (found,) = fires(check, run(loss=falling(400), step_time_s=timed(2, at=0.2, seconds=20)))
    assert found.first_step == pytest.approx(81, abs=2)
    assert found.evidence["ratio"] == pytest.approx(2, rel=0.05)


def test_a_run_that_became_faster_never_got_slower():
    assert fires(check, run(loss=falling(400), step_time_s=timed(0.5, seconds=40))) == []


def test_a_short_slow_stretch_that_is_over_is_nothing():
    times = timed(2, at=0.5, seconds=20)
    times[int(0.6 * 400) :] /= 2
    assert fires(check, run(loss=falling(400), step_time_s=times)) == []


def test_both_times_are_in_one_unit():
    made = run(loss=falling(400), step_time_s=timed(4, seconds=5e-5))
    assert " µs now" in fires(check, made)[0].message


def test_a_toy_run_is_information():
    (found,) = fires(check, run(loss=falling(400), step_time_s=timed(3, seconds=0.1)))
    assert found.severity is Severity.INFO


def test_a_short_stretch_or_a_little_time_is_information():
    late = fires(check, run(loss=falling(400), step_time_s=timed(1.4, at=0.85, seconds=20)))
    slightly = fires(check, run(loss=falling(400), step_time_s=timed(1.3, seconds=20)))
    assert [found.severity for found in late + slightly] == [Severity.INFO] * 2


def test_tokens_per_second_and_the_clock_say_the_same():
    times = timed(2, seconds=20)
    speed = run(loss=falling(400), tokens_per_sec=1e5 / times, config={"batch_tokens": 100_000})
    clock = run(loss=falling(400), time=1.7e9 + np.cumsum(times))
    for made in (speed, clock):
        (found,) = fires(check, made)
        assert found.severity is Severity.WARNING
        assert found.evidence["ratio"] == pytest.approx(2, rel=0.1)


@pytest.mark.parametrize("name", ["batch_size", "global batch size", "samples"])
def test_a_batch_that_grows_makes_no_slow_steps(name):
    sizes = np.repeat([256.0, 512.0, 1024.0], [160, 120, 120])
    told = np.cumsum(sizes) if name == "samples" else sizes
    times = timed(1, seconds=20) * sizes / 256
    assert fires(check, run(loss=falling(400), step_time_s=times, **{name: told})) == []
    (found,) = fires(check, run(loss=falling(400), step_time_s=times * np.repeat([1, 2], 200), **{name: told}))
    assert found.severity is Severity.WARNING
    assert "a sample takes 2 times as long as before" in found.message


def test_a_batch_that_varies_does_not_explain_slow_steps():
    sizes = np.random.default_rng(0).integers(30, 60, 400).astype(float)
    (found,) = fires(check, run(loss=falling(400), step_time_s=timed(2, seconds=20), batch_size=sizes))
    assert "a step takes 2 times as long" in found.message


@pytest.mark.parametrize("n", [30, 400, 5000])
@pytest.mark.parametrize("scatter", [0.02, 0.5])
def test_silent_on_scatter_and_pauses(n, scatter):
    times = timed(1, n, scatter=scatter)
    times[::10] *= 20
    assert fires(check, run(loss=falling(n), step_time_s=times)) == []


def test_not_checked_without_times():
    assert [type(said) for said in check.look(healthy(100))] == [NotChecked]


def test_what_grows_slowly_lost_less_than_its_median_says():
    seconds = np.r_[np.full(200, 1.0), np.linspace(1, 4, 100), np.full(100, 4.0)]
    (found,) = fires(check, run(loss=falling(400), step_time_s=seconds))
    inside = seconds[found.first_step - 1 :]
    assert found.evidence["lost_share"] == pytest.approx(1 - 1 / inside.mean(), abs=0.02)
