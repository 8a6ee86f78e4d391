"""Spikes are found at their step; descents, level shifts and ordinary noise are not spikes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmdiag.stats.spikes import find_spikes
from tests.rules.curves import falling


def spikes(values):
    return find_spikes(np.asarray(values, float), smallest=0.06, deviations=6.0)


@given(st.integers(5, 390), st.floats(1.5, 10), st.integers(0, 50))
@settings(max_examples=60)
def test_a_jump_that_comes_back_is_found_where_it_is(at, factor, seed):
    curve = falling(400, noise=0.03, seed=seed)
    curve[at] *= factor
    assert at in [s.peak for s in spikes(curve)]


@pytest.mark.parametrize("n", [20, 60, 200, 1000, 20_000])
@pytest.mark.parametrize("noise", [0.0, 0.02, 0.1])
def test_a_falling_curve_has_none(n, noise):
    assert spikes(falling(n, noise=noise, seed=n)) == []


def test_a_change_of_level_is_not_a_spike():
    curve = falling(400, noise=0.02)
    curve[200:] += 1.0
    assert spikes(curve) == []


def test_works_from_six_records():
    assert [s.peak for s in spikes([13, 12, 50, 11, 10, 9])] == [2]


def test_first_and_last_record_cannot_be_judged():
    assert spikes([50, 12, 11, 10, 9, 8, 7, 40]) == []


def test_neighbouring_hits_are_one_spike():
    curve = falling(500, noise=0.02)
    curve[250:253] *= [1.5, 2.0, 1.4]
    (found,) = spikes(curve)
    assert (found.first, found.peak, found.last) == (250, 251, 252)


def test_spikes_of_a_long_log_are_counted_one_by_one():
    curve = falling(10_000, noise=0.02)
    curve[2000::50] *= 1.5
    assert len(spikes(curve)) == 160


def test_a_wide_bump_of_a_long_log_is_found():
    curve = falling(6000, noise=0.05)
    curve[3000:3090] *= 1.3
    assert any(2950 <= s.first <= 3100 for s in spikes(curve))


@pytest.mark.parametrize("seed", range(6))
def test_nothing_is_lost_where_only_what_stands_out_is_compared(monkeypatch, seed):
    rng = np.random.default_rng(seed)
    curve = falling(6000, noise=0.01 * (1 + seed), seed=seed)
    at = rng.choice(np.arange(10, 5990), 40, replace=False)
    curve[at] *= rng.uniform(1.02, 1.5, 40)
    found = spikes(curve)
    monkeypatch.setattr("lmdiag.stats.spikes._above_both_sides", lambda values, possible, least: possible)
    monkeypatch.setattr("lmdiag.stats.spikes.LONG", 10_000)
    assert found
    assert spikes(curve.copy()) == found


def test_heavy_tails_without_effect_are_not_spikes():
    rng = np.random.default_rng(0)
    assert spikes(3 + 0.002 * rng.standard_t(2, 2000)) == []
