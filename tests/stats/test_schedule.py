"""The schedule is integrated, annealed and continued as it was meant."""

import numpy as np
import pytest

from lmdiag.stats.schedule import Schedule, _annealing, continued, observed

AT = np.arange(0.0, 61.0)


def cosine(at, low=0.1):
    return low + (1 - low) * 0.5 * (1 + np.cos(np.pi * at / 100))


@pytest.mark.parametrize(
    ("rates", "shape", "end"),
    [(1 - AT / 100, "linear", 0.0), (cosine(AT), "cosine", 0.1), (np.ones(61), "constant", 1.0)],
)
def test_goes_on_in_the_shape_it_has(rates, shape, end):
    longer, name = continued(Schedule(AT, 3e-4 * rates), 100)
    assert name == shape
    assert longer.rates[-1] == pytest.approx(3e-4 * end, abs=1e-6)


def test_is_left_alone_when_it_is_long_enough():
    schedule = Schedule(AT, np.ones(61))
    assert continued(schedule, 50) == (schedule, "as logged")


def test_an_unknown_shape_keeps_its_last_rate():
    steps_down = np.repeat([1.0, 0.5, 0.1], [20, 20, 21])
    longer, name = continued(Schedule(AT, steps_down), 100)
    assert (name, longer.rates[-1]) == ("constant", 0.1)


def test_annealing_follows_the_fall_of_the_rate():
    schedule = Schedule(np.arange(0.0, 20_001.0, 10), np.r_[np.ones(1001), np.zeros(1000)])
    early, late = schedule.annealed(np.array([9_000.0, 20_000.0]))
    assert early == 0
    assert late > 0.99


@pytest.mark.parametrize("last", [50.0, 3e3, 4e6])
def test_annealing_is_a_running_mean_of_the_fall(last):
    knots = np.sort(np.random.default_rng(0).uniform(0, last, 300))
    share = np.interp(knots, [0, 0.3 * last, last], [1, 1, 0])
    memory = min(1000.0, (knots[-1] - knots[0]) / 10)
    levels, kept = [0.0], np.exp(-np.diff(knots) / memory)
    for keep, fallen, before in zip(kept, 1 - share[1:], 1 - share[:-1], strict=True):
        levels.append(keep * levels[-1] + (1 - keep) * (fallen + before) / 2)
    assert _annealing(knots, share) == pytest.approx(np.array(levels), abs=1e-12)


@pytest.mark.parametrize("rates", [[0.0, 0.0], [np.nan, 1.0], []])
def test_no_schedule_without_a_positive_rate(rates):
    assert observed(np.arange(len(rates)), np.array(rates)) is None
