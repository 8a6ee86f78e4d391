"""Windowed medians equal their plain definitions, on short curves and on the fast path of long ones."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmdiag.stats import windows
from lmdiag.stats.windows import (
    block_medians,
    centred_median,
    lowest_median,
    median,
    medians_beside,
    remembered,
    rolling_median,
)

CURVES = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60).map(np.array)


@given(CURVES, st.integers(1, 20))
@settings(max_examples=80)
def test_rolling_median(values, window):
    expected = [np.median(values[i : i + window]) for i in range(len(values) - window + 1)]
    assert rolling_median(values, window).tolist() == expected


@given(st.lists(st.integers(0, 30), min_size=1, max_size=60), st.integers(1, 30))
@settings(max_examples=300)
def test_lowest_median(values, window):
    values = np.array(values) / 8
    if window <= len(values):
        assert lowest_median(values, window) == rolling_median(values, window).min()


def test_lowest_median_of_a_long_curve():
    curve = 3 * np.exp(-np.arange(5000) / 900) + np.random.default_rng(1).normal(2, 0.1, 5000)
    for window in (3, 400, 501, 4999, 5000):
        assert lowest_median(curve, window) == rolling_median(curve, window).min()


@given(CURVES, st.integers(0, 8))
@settings(max_examples=80)
def test_centred_median_is_cut_off_at_both_ends(values, half):
    expected = [np.median(values[max(0, i - half) : i + half + 1]) for i in range(len(values))]
    assert centred_median(values, 2 * half + 1).tolist() == expected


@given(CURVES, st.integers(1, 8))
@settings(max_examples=80)
def test_medians_beside(values, window):
    before, after = medians_beside(values, window)
    for i in range(len(values)):
        left, right = values[max(0, i - window) : i], values[i + 1 : i + 1 + window]
        assert before[i] == np.median(left) if len(left) else np.isnan(before[i])
        assert after[i] == np.median(right) if len(right) else np.isnan(after[i])


@pytest.mark.parametrize("slide", [windows._by_polars, windows._by_bisection])
@pytest.mark.parametrize("window", [2, 41, 100, 999, 1000])
def test_sliding_gives_the_same_as_sorting(slide, window):
    values = np.random.default_rng(0).normal(size=1000).round(1)
    expected = [np.median(values[k : k + window]) for k in range(1001 - window)]
    assert np.allclose(slide(values, window), expected, rtol=1e-14)


@pytest.mark.parametrize("window", [41, 100])
def test_sorting_in_parts_that_fit_the_cache_changes_nothing(monkeypatch, window):
    values = np.random.default_rng(0).normal(size=1000)
    whole = rolling_median.__wrapped__(values, window)
    monkeypatch.setattr(windows, "CACHED_CELLS", 7 * window)
    assert rolling_median.__wrapped__(values, window).tolist() == whole.tolist()


def test_no_log_of_a_hundred_thousand_records_needs_polars_for_a_median(monkeypatch):
    monkeypatch.delitem(sys.modules, "polars", raising=False)
    assert windows._way(100_000, 30_001) is windows._by_bisection
    assert windows._way(1_000_000, 30_001) is windows._by_polars


@given(CURVES, st.integers(1, 70))
@settings(max_examples=80)
def test_block_medians_cover_every_point_once(values, blocks):
    levels, starts = block_medians(values, blocks)
    edges = [*starts.tolist(), len(values)]
    assert starts[0] == 0
    assert len(levels) == min(blocks, len(values))
    assert levels.tolist() == [np.median(values[a:b]) for a, b in zip(edges, edges[1:])]


@given(st.lists(st.floats(-1e300, 1e300) | st.sampled_from([np.nan, np.inf, -np.inf]), max_size=30).map(np.array))
@settings(max_examples=120)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_median_is_that_of_numpy(values):
    with np.errstate(all="ignore"):
        expected = np.median(values) if len(values) else np.nan
        assert np.array_equal(median(values), expected, equal_nan=True)


@pytest.mark.parametrize("n", [1, 12, 2047, 2048, 2049, 5000])
def test_median_over_the_last_axis(n):
    values = np.random.default_rng(0).normal(size=(7, n))
    values[3, n // 2] = np.nan
    assert np.array_equal(median(values), np.median(values, axis=1), equal_nan=True)
    assert [float(median(row)) for row in values[:3]] == np.median(values[:3], axis=1).tolist()
    assert np.isnan(median(values[3]))


def test_what_is_remembered_may_be_asked_while_it_is_looked_up():
    class Asking(float):
        __hash__ = float.__hash__

        def __eq__(self, other):  # as another thread might, in the middle of the look-up
            if not asked:
                asked.append("")
                asked[0] = total(np.ones(7), share=3.0)
            return float(self) == float(other)

    asked = []
    total = remembered(lambda values, share: float(values.sum()) * share)
    assert [total(np.full(n, 2.0), share=Asking(n)) for n in (1, 2, 3)] == [2.0, 8.0, 18.0]
    assert asked == [21.0]


@pytest.mark.parametrize("n", [5, 3000])
def test_every_array_tells_calls_apart(n):
    asked = []
    total = remembered(lambda steps, values: asked.append(1) or float(steps.sum() + values.sum()))
    steps, values, others = np.arange(n), np.ones(n), np.zeros(n)
    sums = [total(steps, values), total(steps, others), total(steps, values), total(values, steps)]
    assert (sums, len(asked)) == ([sums[0], sums[0] - n, sums[0], sums[0]], 3)
