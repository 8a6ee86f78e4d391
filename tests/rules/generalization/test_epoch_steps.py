"""A staircase at the ends of epochs is named, and nothing else is taken for one."""

import numpy as np
import pytest

from lmdiag.rules.generalization.epoch_steps import check
from tests.rules.curves import falling, fires, run


def epochs(drop: float, n: int = 600, per_epoch: int = 200, noise: float = 0.03, seed: int = 0, shift: int = 0):
    at = np.arange(1, n + 1) / per_epoch
    loss = falling(n, start=4, floor=2, noise=noise, seed=seed) * (1 - drop) ** np.floor(at + shift / per_epoch)
    return run(loss=loss, epoch=at)


@pytest.mark.parametrize("drop", [0.15, 0.3])
def test_fires_at_each_end(drop):
    (found,) = fires(check, epochs(drop))
    assert found.evidence["with_drop"] == 2
    assert abs(found.first_step - 200) <= 2


@pytest.mark.parametrize("noise", [0.01, 0.1, 0.4])
def test_silent_on_smooth_epochs(noise):
    for seed in range(5):
        assert fires(check, epochs(0.0, noise=noise, seed=seed)) == []


def test_silent_on_steps_elsewhere():
    assert fires(check, epochs(0.2, shift=100)) == []


def test_silent_on_one_epoch_or_short_ones():
    assert fires(check, epochs(0.2, per_epoch=700)) == []
    assert fires(check, epochs(0.2, n=60, per_epoch=6)) == []


def test_an_epoch_of_any_size_costs_no_memory():
    """One number of the log must not decide how long an array is: this one would take 16 petabytes."""
    at = np.arange(1, 601) / 200
    at[-1] = 2e15
    assert fires(check, run(loss=falling(600), epoch=at)) == []


@pytest.mark.parametrize("noise", [0.02, 0.05, 0.1])
def test_silent_on_few_records_of_noise(noise):
    """Few places to compare with may lie together by chance."""
    at = np.arange(1, 61) / 20
    level = 0.85 + 0.95 * np.exp(-np.arange(60) / 4)
    for seed in range(60):
        loss = level + np.random.default_rng(seed).normal(0, noise, 60)
        assert fires(check, run(loss=loss, epoch=at)) == []
