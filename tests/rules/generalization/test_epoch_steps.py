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


@pytest.mark.parametrize("decay", [20, 25, 40, 60])
@pytest.mark.parametrize("per_epoch", [25, 40, 60])
def test_silent_on_a_smooth_exponential_that_is_steep_at_the_first_end(decay, per_epoch):
    at = np.arange(1, 121) / per_epoch
    for seed in range(10):
        noise = np.random.default_rng(seed).normal(0, 0.015, 120)
        assert fires(check, run(loss=0.12 + 1.1 * np.exp(-np.arange(120) / decay) + noise, epoch=at)) == []


def test_silent_on_a_drop_at_one_of_two_ends():
    made = epochs(0.3)
    loss = np.where(made["epoch"].values >= 2, made["loss"].values / 0.7, made["loss"].values)
    assert fires(check, run(loss=loss, epoch=made["epoch"].values)) == []


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


def since_the_epoch_began(losses: np.ndarray, per_epoch: int) -> np.ndarray:
    means = [
        np.cumsum(part) / np.arange(1, len(part) + 1)
        for part in np.split(losses, range(per_epoch, len(losses), per_epoch))
    ]
    return np.concatenate(means)


@pytest.mark.parametrize("per_epoch", [12, 100, 300])
@pytest.mark.parametrize("first", [0, 1], ids=["epochs from 0", "fractions"])
def test_silent_on_means_since_the_epoch_began(per_epoch, first):
    """A fall of the loss is a step in them, which nobody has memorised."""
    n = 5 * per_epoch
    at = np.floor(np.arange(n) / per_epoch) if first == 0 else np.arange(1, n + 1) / per_epoch
    reasons = []
    for seed in range(10):
        loss = since_the_epoch_began(np.linspace(6, 2, n) + np.random.default_rng(seed).normal(0, 0.1, n), per_epoch)
        made = run(loss=np.round(loss, 3), epoch=at)
        assert fires(check, made) == []
        reasons += [said.why for said in check.look(made)]
    assert any("as means since it began do" in reason for reason in reasons)


def test_the_last_end_of_epochs_in_whole_numbers_is_one():
    made = epochs(0.3)
    (found,) = fires(check, run(loss=made["loss"].values, epoch=np.ceil(made["epoch"].values) - 1))
    assert found.evidence["epoch_ends"] == found.evidence["with_drop"] == 2


@pytest.mark.parametrize("smoothing", [0.5, 0.2, 0.1])
def test_fires_on_smoothed_losses(smoothing):
    made = epochs(0.3, noise=0.05)
    smooth, values = made["loss"].values[0], []
    for value in made["loss"].values:
        smooth += smoothing * (value - smooth)
        values.append(smooth)
    assert len(fires(check, run(loss=np.array(values), epoch=made["epoch"].values))) == 1
