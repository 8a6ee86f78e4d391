"""Swings that widen are reported; a constant band, growing white noise and cyclic learning rates are not."""

import numpy as np
import pytest

from lmdiag.finding import Severity
from lmdiag.rules.divergence.growing_oscillation import check
from lmdiag.run import Series
from tests.rules.curves import falling, fires, healthy, lasting_noise, run, series


def swinging(amplitude: float, n: int = 1200, period: int = 40, growing: bool = True) -> np.ndarray:
    at = np.arange(n)
    envelope = (at / n) ** 2 if growing else np.ones(n)
    return falling(n, start=5, noise=0.02) + amplitude * envelope * np.sin(2 * np.pi * at / period)


@pytest.mark.parametrize(("amplitude", "severity"), [(0.1, Severity.INFO), (0.6, Severity.WARNING)])
def test_fires_with_its_period(amplitude, severity):
    (found,) = fires(check, run(loss=swinging(amplitude)))
    assert found.severity is severity
    assert found.evidence["period"] == pytest.approx(40, rel=0.3)


@pytest.mark.parametrize(("n", "period"), [(120, 8), (150, 12), (300, 24), (600, 24)])
def test_short_logs_show_regular_swings_from_their_beginning_on(n, period):
    at = np.arange(n) / n
    swings = np.clip((at - 0.5) / 0.5, 0, 1) * np.sin(2 * np.pi * np.arange(n) / period)
    (found,) = fires(check, run(loss=falling(n, start=5, noise=0.03) + swings))
    assert found.severity is Severity.WARNING
    assert found.first_step == pytest.approx(0.64 * n, abs=0.08 * n)


@pytest.mark.parametrize(("period", "silent"), [(10, True), (14, False)])
def test_silent_on_a_mean_that_begins_again_with_each_pass(period, silent):
    """Within a late pass the loss rises, as text met again is known best at first; swings of another period are no such mean."""
    at, late = np.arange(200), np.clip(np.arange(200) / 200 - 0.3, 0, 1)
    loss = 1 + 7 * np.exp(-at / 40) + 0.8 * late * ((at % period) / period - 0.5)
    found = fires(check, run(loss=loss, epoch=1.0 + at // 10))
    assert (found == []) is silent


def test_irregular_swings_that_doubled_by_luck_are_information():
    envelope, fall = np.linspace(0.5, 1.2, 6000), np.linspace(0, 0.3, 6000)
    for seed in (10, 12, 51):
        loss = 3 * np.exp(0.12 * envelope * lasting_noise(6000, 70, seed) - fall)
        (found,) = fires(check, run(loss=loss))
        assert found.evidence["amplitude"] >= 2 * found.evidence["amplitude_before"]
        assert found.severity is Severity.INFO


def test_silent_on_a_constant_band():
    assert fires(check, run(loss=swinging(0.3, growing=False))) == []


@pytest.mark.parametrize("at", [840, 950, 1010, 1100])
def test_silent_on_one_spike_that_comes_back(at):
    loss = falling(1200, start=5, noise=0.02)
    loss[at:] += 2 * np.exp(-np.arange(1200 - at) / 20)
    assert fires(check, run(loss=loss)) == []


def restless(growth: float, n: int = 1200, shared: bool | None = None, seed: int = 0):
    """A loss whose single records scatter more and more; its evaluations share it, do not, or are missing."""
    rng = np.random.default_rng(seed)
    noise = 0.03 * growth ** np.clip(np.linspace(-0.5, 1.2, n), 0, 1)
    clean = falling(n, noise=0, start=6)
    at = np.arange(n // 20, n, n // 20)
    beside = (
        {}
        if shared is None
        else {"val__loss": Series(at, clean[at] * (1 + shared * noise[at] * rng.normal(0, 1, len(at))))}
    )
    return run(loss=clean * (1 + noise * rng.normal(0, 1, n)), **beside)


@pytest.mark.parametrize("shared", [None, True])
@pytest.mark.parametrize("growth", [4, 8])
def test_noise_that_grows_is_a_warning(growth, shared):
    (found,) = fires(check, restless(growth, shared=shared))
    assert found.severity is Severity.WARNING
    assert found.evidence["noise"] > 2 * found.evidence["noise_before"]
    assert 300 <= found.first_step <= 900


def test_growing_noise_that_evaluations_do_not_share_is_of_the_batches():
    assert fires(check, restless(3, shared=False)) == []
    (found,) = fires(check, restless(12, shared=False))
    assert (found.severity, len(found.advice)) == (Severity.INFO, 1)
    assert "batches" in found.message


@pytest.mark.parametrize("seed", range(3))
def test_evaluations_that_come_to_scatter_less_than_records_share_it(seed):
    rng, late = np.random.default_rng(seed), np.linspace(0, 1, 1200) > 0.5
    loss = 3 * np.exp((0.01 + 0.29 * late) * rng.normal(0, 1, 1200))
    evaluations = 3 * np.exp((0.001 + 0.049 * late[::40]) * rng.normal(0, 1, 30))
    (found,) = fires(check, run(loss=loss, val__loss=series(evaluations, every=40, first=1)))
    assert (found.severity, found.first_step) == (Severity.WARNING, pytest.approx(600, abs=100))


@pytest.mark.parametrize("n", [48, 90, 140])
@pytest.mark.parametrize("seed", range(3))
def test_noise_that_grows_manifold_in_a_short_log_is_a_warning(n, seed):
    rng, late = np.random.default_rng(seed), np.arange(n) > 0.5 * n
    loss = (2 + np.exp(-8 * np.arange(n) / n)) * np.exp((0.01 + 0.14 * late) * rng.normal(0, 1, n))
    (found,) = fires(check, run(loss=loss))
    assert found.severity is Severity.WARNING
    assert 0.3 * n <= found.first_step <= 0.7 * n


@pytest.mark.parametrize("n", [40, 80, 150, 300, 1200])
def test_silent_on_noise_that_hardly_grows(n):
    for seed in range(20):
        assert fires(check, restless(1.3, n=n, seed=seed)) == []


@pytest.mark.parametrize("records", [45, 60, 90])
def test_silent_on_noise_that_a_steep_fall_hides(records):
    """Where a record falls by more than its noise, it is the median of its neighbours."""
    for seed in range(5):
        rng = np.random.default_rng(seed)
        loss = 0.6 + 10 * np.exp(-np.arange(300) / records) + rng.normal(0, 0.04, 300)
        assert fires(check, run(loss=loss)) == []


@pytest.mark.parametrize("decimals", [1, 2])
def test_silent_where_rounding_hides_the_noise_of_the_start(decimals):
    noise = np.where(np.arange(300) < 150, 0.1, 10) * 10.0**-decimals * np.random.default_rng(0).normal(0, 1, 300)
    assert fires(check, run(loss=np.round(2 + noise, decimals))) == []


def test_silent_on_noise_that_rises_with_the_level():
    for seed in range(20):
        noise = 0.05 * np.random.default_rng(seed).normal(0, 1, 600)
        assert fires(check, run(loss=np.linspace(1, 6, 600) * (1 + noise))) == []


@pytest.mark.parametrize("period", [3, 5, 8])
def test_swings_of_a_few_records_that_set_in(period):
    loss = falling(800, start=6, noise=0.03)
    loss[400:] *= 1 + 0.2 * np.sin(2 * np.pi * np.arange(400) / period)
    (found,) = fires(check, run(loss=loss))
    assert (found.severity, found.first_step) == (Severity.WARNING, pytest.approx(400, abs=80))


@pytest.mark.parametrize("seed", range(10))
def test_silent_on_growing_noise_that_was_averaged(seed):
    """A slow mean of noise swings too, and the wider the noisier the batches become."""
    noise = np.random.default_rng(seed).normal(0, 1, 4000) * np.linspace(0.3, 1.2, 4000)
    averaged = np.convolve(noise, 0.97 ** np.arange(200) * 0.03)[:4000]
    assert [f for f in fires(check, run(loss=2.0 + averaged)) if f.alarms] == []


def test_silent_when_the_learning_rate_cycles():
    rate = 1e-3 * (1 + 0.5 * np.sin(2 * np.pi * np.arange(1200) / 40))
    assert fires(check, run(loss=swinging(0.6), lr=rate)) == []


@pytest.mark.parametrize("n", [200, 1000, 10_000])
def test_silent_on_healthy_runs(n):
    for seed in range(5):
        assert fires(check, healthy(n, seed)) == []
