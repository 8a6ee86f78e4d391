"""Swings that widen are reported; a constant band, growing white noise and cyclic learning rates are not."""

import numpy as np
import pytest

from lmdiag.finding import Severity
from lmdiag.rules.divergence.growing_oscillation import check
from tests.rules.curves import falling, fires, healthy, lasting_noise, run


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


def test_silent_on_noise_that_grows():
    noise = np.random.default_rng(0).normal(0, 1, 1200) * np.linspace(0.02, 0.4, 1200)
    assert fires(check, run(loss=falling(1200, noise=0) + noise)) == []


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
