"""Sparklines: no spike and no NaN is averaged away, whatever the length and the range of the curve."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lmdiag.reports.sparkline import BARS, NOT_FINITE, sparkline
from lmdiag.run import Series


def draw(values, width):
    steps = np.arange(len(values))
    return sparkline(Series(steps, np.asarray(values, float)), width, 0, max(len(values) - 1, 0))


def test_a_falling_loss_falls():
    assert draw([128, 64, 32, 16, 8, 4, 2, 1], 8) == BARS[::-1]


def test_one_spike_among_thousands_of_values_is_seen():
    values = np.full(10_000, 3.0)
    values[5_000] = 6.0
    assert draw(values, 20) == BARS[0] * 10 + BARS[-1] + BARS[0] * 9


def test_one_nan_among_thousands_of_values_is_seen():
    values = np.full(10_000, 3.0)
    values[5_000] = np.nan
    assert draw(values, 20).index(NOT_FINITE) == 10


def test_an_enormous_value_does_not_flatten_the_rest():
    values = np.geomspace(10, 2, 200)
    values[150] = 1e30
    bars = draw(values, 40)
    assert len(set(bars[:28])) >= 4
    assert bars[30] == BARS[-1]


def test_a_constant_loss_is_a_flat_line_of_middle_height():
    assert draw([2.0] * 9, 4) == BARS[3] * 4


def test_zero_and_negative_values_are_drawn_on_a_linear_scale():
    assert draw([-1, 0, 1], 3) == f"{BARS[0]}{BARS[4]}{BARS[-1]}"


def test_a_curve_that_begins_late_leaves_the_start_empty():
    late = Series(np.array([50, 100]), np.array([2.0, 1.0]))
    assert sparkline(late, 4, 0, 100) == f"  {BARS[-1]}{BARS[0]}"


@given(st.lists(st.floats(width=64), min_size=1, max_size=50), st.integers(1, 60))
def test_any_values_give_a_line_of_the_asked_width(values, width):
    line = draw(values, width)
    assert len(line) == width
    assert set(line) <= set(BARS + NOT_FINITE + " ")
    assert (NOT_FINITE in line) == (not np.isfinite(values).all())


def test_what_is_missing_is_blank_and_usual_distances_are_filled():
    rewards = Series(np.arange(1, 16), np.linspace(0.1, 0.3, 15))
    assert sparkline(rewards, 40, 1, 40)[20:].strip() == ""
    evaluations = Series(np.arange(10, 41, 10), np.array([4.0, 3.0, 2.0, 1.0]))
    assert " " not in sparkline(evaluations, 40, 1, 40)[10:]
