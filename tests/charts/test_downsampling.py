"""Every extreme and every flagged point stays; a long series drawn from blocks looks as if drawn from its points."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lmdiag import charts
from lmdiag.charts import downsampling
from lmdiag.charts.downsampling import (
    MOST_RAW,
    blocks,
    candidates,
    extremes,
    joined,
    lost_stretches,
    stretches,
)
from lmdiag.charts.smoothing import half_life_mean
from lmdiag.charts.traces import line_points, smooth_points, trace
from lmdiag.charts.view import View
from lmdiag.run import Run, Series

N = 3 * MOST_RAW
VALUES = arrays(float, st.integers(0, 300), elements=st.floats(-1e6, 1e6) | st.sampled_from([np.nan, np.inf, -np.inf]))


@given(VALUES, st.integers(1, 20))
def test_the_extremes_and_both_ends_survive(values, buckets):
    chosen = extremes(values, buckets=buckets)
    finite = np.flatnonzero(np.isfinite(values))
    assert np.isfinite(values[chosen]).all()
    assert len(chosen) <= 2 * buckets + 2
    if len(finite):
        kept = values[chosen]
        assert (kept.min(), kept.max()) == (values[finite].min(), values[finite].max())
        assert (chosen[0], chosen[-1]) == (finite[0], finite[-1])


@given(VALUES)
def test_few_points_are_all_kept(values):
    assert extremes(values, buckets=150).tolist() == np.flatnonzero(np.isfinite(values)).tolist()


def test_every_one_step_spike_of_a_long_run_survives():
    values = np.zeros(100_000)
    spikes = np.arange(500, 100_000, 997)
    values[spikes] = np.arange(len(spikes)) + 1.0
    assert np.isin(spikes, extremes(values)).all()


def test_a_flagged_point_survives_among_equals():
    assert 4321 in extremes(np.zeros(100_000), np.array([4321]))


@given(arrays(bool, st.integers(0, 200)), st.integers(1, 10))
def test_stretches_count_every_value_and_never_overlap(chosen, most):
    found = joined(stretches(chosen), most)
    assert len(found) <= most
    assert sum(count for _, _, count in found) == chosen.sum()
    assert all(last < first for (_, last, _), (first, _, _) in zip(found, found[1:]))


@pytest.fixture(scope="module")
def series() -> Series:
    rng = np.random.default_rng(0)
    values = 3 + np.cos(np.arange(N) / 20_000) + 0.1 * rng.normal(size=N)
    values[::1999] += 5.0
    values[70_000:70_400] = np.nan
    values[90_001] = np.inf
    return Series(np.arange(1, N + 1), values)


def test_every_extreme_of_the_whole_and_of_a_part_is_among_the_candidates(series):
    for start, stop in ((0, N), (50_000, 50_000 + MOST_RAW + 1)):
        rows = candidates(series, start, stop)
        part = series.values[start:stop]
        assert len(rows) < 0.05 * (stop - start)
        assert {np.nanargmin(part) + start, np.nanargmax(np.where(np.isinf(part), np.nan, part)) + start} <= set(rows)
        assert (rows[0], rows[-1]) == (start, stop - 1)
        assert np.isfinite(series.values[rows]).all()


def test_single_spikes_of_a_long_series_are_drawn(series):
    x, y = line_points(trace(Run("a", {"loss": series}), "a", "loss", series, View()))
    highest = 1 + extremes(series.values, buckets=200)
    assert np.isin(highest, x[np.isfinite(y)]).mean() > 0.6


def test_what_is_lost_is_counted_exactly_and_cut_to_the_view(series):
    assert lost_stretches(series, 0, N).tolist() == [[70_000, 70_399], [90_001, 90_001]]
    assert lost_stretches(series, 70_100, 80_000).tolist() == [[70_100, 70_399]]
    t = trace(Run("a", {"loss": series}), "a", "loss", series, View())
    assert [(m["step"], m["count"], m["what"]) for m in t.lost_marks] == [
        (70_001, 400, "NaN"),
        (90_002, 1, "Infinity"),
    ]
    assert t.logged == N - 401
    assert np.isnan(line_points(t)[1]).sum() == 2


@pytest.mark.parametrize("half_life", [300.0, 5000.0])
def test_the_mean_of_blocks_is_the_mean_of_the_points(series, half_life):
    near = blocks(series, 0, N, logarithms=False)
    finite = np.where(np.isfinite(series.values), series.values, np.nan)
    exact = half_life_mean(series.steps, finite, half_life)
    mean = half_life_mean(near.steps, near.means, half_life, near.counts)
    there = np.isfinite(mean)
    assert np.abs(mean[there] - exact[near.rows[there]]).max() < 0.05
    assert not there[(near.rows >= 70_000) & (near.rows < 70_400)].any()
    assert near.counts.sum() == N - 401


def test_a_zoomed_mean_knows_what_lies_beyond_its_edges(series):
    run = Run("a", {"loss": series})
    whole = trace(run, "a", "loss", series, View(half_life=500.0))
    part = trace(run, "a", "loss", series, View(half_life=500.0, steps=(20_000, 40_000)))
    x, y = smooth_points(part)
    near = int(np.argmin(np.abs(whole.smooth.x - x[0])))
    assert y[0] == pytest.approx(whole.smooth.values[near], abs=0.02)


def test_what_is_kept_is_made_once_and_forgotten_with_its_series():
    made = []
    owner = Series(np.arange(3), np.ones(3))
    for _ in range(2):
        assert downsampling.kept(owner, "a", lambda: made.append(1) or "made") == "made"
    assert made == [1]
    known = len(downsampling._KEPT)
    del owner
    assert len(downsampling._KEPT) == known - 1


def test_a_million_steps_and_twelve_runs_are_few_bytes():
    """So few that a click on a page of either is quick over any network."""
    steps, rng = np.arange(1, 1_000_001), np.random.default_rng(0)
    series = {name: Series(steps, rng.random(1_000_000)) for name in ("loss", "grad_norm", "lr")}
    view = View(half_life=2000.0)
    run = Run("long", series)
    drawings = [charts.loss_chart(run, [], view), charts.gradient_chart(run, [], view), charts.lr_chart(run, [], view)]
    assert len(json.dumps(charts.stack_chart(run, drawings, view).spec)) < 100_000
    runs = {f"run{i}": Run(f"run{i}", {"loss": series["loss"].between(1, 5000)}) for i in range(12)}
    overlay = [charts.overlay_chart(runs, "loss", view), charts.difference_chart(runs, "loss", view, "run0")]
    assert len(json.dumps(charts.compared_chart(runs, "loss", view, overlay).spec)) < 300_000
