"""A high level kept for a third of the run is a plateau, unless the run leaves it."""

import numpy as np
import pytest

from lmdiag.rules.convergence.plateau import check
from lmdiag.run import Series
from tests.rules.curves import falling, fires, healthy, run


def shelf(n: int, level: float = 7.4, noise: float = 0.01, seed: int = 0) -> np.ndarray:
    descent = np.linspace(10.8, level, max(4, n // 10))
    rest = np.full(n - len(descent), level)
    return np.r_[descent, rest] + np.random.default_rng(seed).normal(0, noise, n)


@pytest.mark.parametrize("n", [100, 400, 3000])
def test_fires_with_level_and_stretch(n):
    (found,) = fires(check, run(loss=shelf(n)))
    assert found.evidence["level"] == pytest.approx(7.4, abs=0.02)
    assert found.last_step - found.first_step >= 0.3 * n


@pytest.mark.parametrize("descent", [30, 60, 120])
def test_the_stretch_is_that_of_the_flat_records_and_not_of_a_window(descent):
    rng = np.random.default_rng(1)
    loss = np.r_[np.linspace(10.8, 7.4, descent), np.full(300 - descent, 7.4)] + rng.normal(0, 0.02, 300)
    (found,) = fires(check, run(loss=loss))
    assert abs(found.first_step - descent) <= 8
    assert found.last_step == 300


def test_fires_on_a_short_log_of_many_steps():
    assert len(fires(check, run(loss=shelf(20), every=50))) == 1


@pytest.mark.parametrize("seed", range(3))
def test_a_late_start_is_told(seed):
    loss = np.r_[shelf(200, seed=seed), np.linspace(7.4, 3.0, 150)]
    (found,) = fires(check, run(loss=loss))
    assert (found.first_step, found.last_step) == (pytest.approx(20, abs=8), pytest.approx(200, abs=8))
    assert found.message.endswith("nats, and falls only then.")


@pytest.mark.parametrize("flat", [30, 60])
def test_silent_when_the_run_leaves_it_soon(flat):
    for seed in range(10):
        fall = 3 + 4.4 * np.exp(-np.arange(330 - flat) / 60)
        loss = np.r_[np.linspace(10.8, 7.4, 20), np.full(flat, 7.4), fall]
        assert fires(check, run(loss=loss + np.random.default_rng(seed).normal(0, 0.05, len(loss)))) == []


@pytest.mark.parametrize("seed", range(3))
def test_few_noisy_records_that_do_not_fall_are_enough_near_the_start(seed):
    noise = np.exp(np.random.default_rng(seed).normal(0, 0.05, 120))
    flat = np.r_[np.linspace(10.8, 7.3, 20), np.full(100, 7.3)]
    learns = np.r_[np.linspace(10.8, 7.3, 20), np.linspace(7.3, 6.6, 100)]
    assert len(fires(check, run(every=10, loss=flat * noise))) == 1
    assert fires(check, run(every=10, loss=learns * noise)) == []


@pytest.mark.parametrize("level", [2.0, 3.3])
def test_silent_at_levels_that_may_be_the_best_there_is(level):
    assert fires(check, run(loss=shelf(400, level))) == []


@pytest.mark.parametrize("start", [6.44, 7.4])
def test_silent_on_a_fall_that_is_slow_and_sure(start):
    """A task with a high floor: 1.7% of the level per half of the run, to the end."""
    loss = np.r_[np.linspace(start + 0.5, start, 4), start * np.linspace(1, 0.967, 96)]
    for seed in range(5):
        noisy = loss + np.random.default_rng(seed).normal(0, 0.01, 100)
        assert fires(check, run(loss=noisy)) == []


@pytest.mark.parametrize(("level", "per_half"), [(7.4, 0.004), (8.8, 0.0147)])
def test_fires_where_it_creeps_by_next_to_nothing_or_at_the_cost_of_a_uniform_guess(level, per_half):
    loss = np.r_[np.linspace(10.8, level, 10), level * np.linspace(1, 1 - 2 * per_half, 390)]
    assert len(fires(check, run(loss=loss + np.random.default_rng(0).normal(0, 0.005, 400)))) == 1


def test_silent_when_the_rate_has_decayed_to_nothing():
    lr = np.r_[np.full(60, 1e-3), np.full(340, 1e-5)]
    assert fires(check, run(loss=shelf(400, 5.5), lr=lr)) == []


@pytest.mark.parametrize(("learns", "found"), [(True, 0), (False, 1)])
def test_many_records_are_little_of_a_run_where_the_log_becomes_denser(learns, found):
    """The second half of the records, one a step, is 2% of the steps: flat even where the run goes on learning."""
    steps = np.cumsum(np.r_[np.full(200, 50), np.full(200, 1)])
    clean = 10.8 - 4.4 * (steps / steps[-1]) ** 0.4 if learns else np.where(steps < 800, 10.8 - 0.0042 * steps, 7.4)
    loss = clean + np.random.default_rng(0).normal(0, 0.02, 400)
    assert len(fires(check, run(loss=Series(steps, loss)))) == found


def test_silent_on_healthy_runs():
    for n in (15, 60, 400, 4000):
        assert fires(check, run(loss=falling(n))) == []
    assert fires(check, healthy(200)) == []


def test_the_end_of_a_decay_is_no_plateau():
    steps = np.arange(1, 401)
    loss = 4 + 5 * np.clip(1 - steps / 250, 0, 1) ** 1.5 + np.random.default_rng(0).normal(0, 0.01, 400)
    decayed, kept = np.clip(1 - steps / 260, 1e-3, 1), np.ones(400)
    found = [len(fires(check, run(loss=loss + 1.5, lr=1e-3 * rates, every=50))) for rates in (decayed, kept)]
    assert found == [0, 1]


def test_silent_on_some_window_of_a_slow_fall_that_noise_makes_level():
    at = np.arange(672)
    fall = 5.8 + 2.4 / np.sqrt(1 + at / 15)
    for seed in range(10):
        assert fires(check, run(loss=fall * (1 + 0.04 * np.random.default_rng(seed).normal(0, 1, 672)))) == []
