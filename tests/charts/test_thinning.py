"""Thinning keeps every extreme, both ends and every flagged point."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lmdiag.charts.thinning import extremes, joined, stretches

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
