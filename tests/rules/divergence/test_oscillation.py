"""Only huge swings are oscillation."""

import numpy as np
import pytest

from lmdiag.finding import Severity
from lmdiag.rules.divergence.oscillation import check
from tests.rules.curves import falling, fires, lasting_noise, run, series


def test_wide_swings_in_the_second_half():
    loss = falling(100)
    loss[40:] += 4 * np.sin(np.arange(60) / 2) + 4
    (found,) = fires(check, run(loss=loss))
    assert found.first_step >= 35


def test_excursions_in_a_short_log():
    assert len(fires(check, run(loss=[10, 7, 12, 6, 11, 6, 12, 6, 10, 6, 11, 6]))) == 1


@pytest.mark.parametrize("noise", [0.02, 0.1, 0.4])
@pytest.mark.parametrize("n", [12, 30, 60, 1000])
def test_silent_on_noise(noise, n):
    for seed in range(5):
        assert fires(check, run(loss=falling(n, noise=noise, seed=seed))) == []


def test_silent_on_a_narrow_regular_band():
    loss = falling(500, noise=0.02) * (1 + 0.03 * np.sin(np.arange(500)))
    assert fires(check, run(loss=loss)) == []


@pytest.mark.parametrize(("end", "found"), [(150, 0), (1900, 1)])
def test_bumps_on_the_way_down_are_no_swings(end, found):
    bumps = sum(300 * np.exp(-(((np.arange(80) - at) / 2.5) ** 2)) for at in (10, 24, 38, 52, 66))
    assert len(fires(check, run(loss=np.linspace(2000, end, 80) + bumps))) == found


@pytest.mark.parametrize("n", [60, 500])
@pytest.mark.parametrize("width", [2.0, 4.0])
def test_sums_over_sentences_of_any_length_do_not_swing(n, width):
    rng = np.random.default_rng(n)
    lengths = rng.gamma(width, 10 / width, n)
    assert fires(check, run(loss=np.linspace(3, 1, n) * lengths)) == []
    swings = 1 + 0.8 * np.sin(np.arange(n) / 3)
    assert len(fires(check, run(loss=np.linspace(3, 1, n) * 10 * swings))) == 1


@pytest.mark.parametrize(("shared", "found"), [(0.0, 0), (0.5, 1)])
def test_swings_that_the_evaluations_do_not_share_are_those_of_the_batches(shared, found):
    """Sums over batches of unequal size, sorted by it, beside the mean of an evaluation."""
    swings = np.sin(np.arange(200) / 3)
    fall = np.geomspace(20, 1, 200)
    evaluations = (fall * (1 + shared * swings))[9::10]
    made = run(loss=50 * fall[-1] * (1.2 + swings), val__loss=series(evaluations, every=10, first=10))
    assert len(fires(check, made)) == found


@pytest.mark.parametrize("shape", ["single records", "pairs", "sine"])
def test_swings_of_single_records_begin_where_they_do(shape):
    """A median of three records hides swings of one: then it is no onset that the first record is."""
    rng = np.random.default_rng(5)
    after = np.arange(200)
    swings = {
        "single records": 2.5 * (after % 3 == 0),
        "pairs": 2.5 * (after % 6 < 2),
        "sine": 1.5 + 1.5 * np.sin(after / 3),
    }[shape]
    (found,) = fires(check, run(loss=3 + rng.normal(0, 0.02, 400) + np.r_[np.zeros(200), swings]))
    assert 200 <= found.first_step <= 210


def test_one_record_that_stands_out_early_is_not_where_swings_begin():
    loss = 3 + np.random.default_rng(0).normal(0, 0.02, 400) + np.r_[np.zeros(200), 2 + 2 * np.sin(np.arange(200) / 3)]
    loss[50] += 5
    (found,) = fires(check, run(loss=loss))
    assert found.first_step >= 195


@pytest.mark.parametrize(("shared", "found"), [(0.02, 0), (0.5, 1)])
def test_swings_over_decades_are_the_models_where_the_evaluations_scatter_by_a_third(shared, found):
    """A training set that is forgotten and learned by heart again and again, beside evaluations that it never helped."""
    rounds = np.arange(400) % 12
    loss = np.r_[np.linspace(5, 0.5, 40), np.geomspace(5, 0.004, 12)[rounds[40:]]]
    evaluations = 10 * (1 + shared * np.sin(np.arange(400) / 5))
    assert len(fires(check, run(loss=loss, val__loss=evaluations))) == found


@pytest.mark.parametrize("period", [45, 55, 70])
def test_swings_of_about_a_twentieth_of_the_run_are_a_warning(period):
    swings = 1 + 0.25 * np.sin(2 * np.pi * np.arange(1000) / period)
    noise = np.exp(np.random.default_rng(period).normal(0, 0.05, 1000))
    (found,) = fires(check, run(loss=falling(1000, start=4, noise=0) * swings * noise))
    assert found.severity is Severity.WARNING


def test_noise_that_lasts_for_a_hundredth_of_the_run_is_none():
    for seed in range(20):
        loss = falling(1000, start=4, noise=0) * np.exp(0.12 * lasting_noise(1000, 10, seed))
        assert [f for f in fires(check, run(loss=loss)) if f.severity is Severity.WARNING] == []


@pytest.mark.parametrize("period", [5, 9, 14])
@pytest.mark.parametrize("level", [1.5, 8.0])
def test_swings_of_a_few_records_that_keep_time(period, level):
    noise = 0.05 * np.random.default_rng(period).normal(size=90)
    loss = (
        level * np.exp(noise) * (1 + np.geomspace(1, 0.1, 90)) * (1 + 0.6 * np.sin(2 * np.pi * np.arange(90) / period))
    )
    assert len(fires(check, run(loss=loss))) == 1


@pytest.mark.parametrize("kept", [0.0, 0.5])
def test_wide_noise_has_no_period(kept):
    """Noise of 30%, part of which each record takes over from the one before it."""
    for seed in range(40):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(40, 400))
        noise = rng.normal(size=n)
        for i in range(1, n):
            noise[i] = kept * noise[i - 1] + np.sqrt(1 - kept**2) * noise[i]
        found = fires(check, run(loss=1.2 * np.exp(0.3 * noise) * (1 + np.geomspace(1, 0.1, n))))
        assert not [f for f in found if f.severity == Severity.WARNING], (kept, seed)


def test_one_spike_is_no_oscillation():
    loss = falling(93, noise=0.12)
    loss[65] = 60 * loss[65]
    assert fires(check, run(loss=loss)) == []


def test_swings_of_no_nat_to_speak_of_are_no_oscillation():
    """A loss of nothing that is back up at once where each cosine of the learning rate begins."""
    at = np.arange(180) % 12 / 12
    noise = np.exp(0.05 * np.random.default_rng(0).normal(size=180))
    loss = 8e-6 * noise * (1 + 0.6 * np.exp(-np.arange(180) / 60)) * (1 + 0.5 * (1 + np.cos(np.pi * at)))
    assert [f for f in fires(check, run(loss=loss)) if f.severity is Severity.WARNING] == []
