"""A loss that does not fall is found at any level; slow learners, warm-up and tails of runs are left alone."""

import re
from dataclasses import replace

import numpy as np
import pytest

from lmdiag.finding import NotChecked
from lmdiag.rules.convergence.not_learning import check
from tests.rules.curves import cosine_lr, falling, fires, flat, healthy, levels, pairs, policy, run, series


@pytest.mark.parametrize("level", [0.7, 2.5, 4.0, 10.4])
@pytest.mark.parametrize("n", [30, 100, 1000])
def test_flat_losses(level, n):
    found = [fires(check, run(loss=flat(level, n, 0.03, seed))) for seed in range(5)]
    assert sum(map(len, found)) == 5


def test_a_trivial_but_significant_gain_is_not_learning():
    loss = np.linspace(2.500, 2.490, 300) + np.random.default_rng(0).normal(0, 0.001, 300)
    (found,) = fires(check, run(loss=loss))
    assert "gain of" in found.message


def test_a_loss_that_rose_is_said_to_have_risen():
    (found,) = fires(check, run(loss=np.r_[flat(4.0, 10, 0.03), flat(8.0, 90, 0.2)]))
    assert re.fullmatch(
        r"The loss has a median of 8\S* over the last quarter of 100 records, above the 4\S* of its first ones\.",
        found.message,
    )


def test_a_zero_learning_rate_is_named_first():
    (found,) = fires(check, run(loss=flat(4.0, 100, 0.03), lr=np.zeros(100)))
    assert "learning rate is zero" in found.advice[0]


@pytest.mark.parametrize("n", [12, 30, 100, 1000])
@pytest.mark.parametrize("noise", [0.02, 0.3])
def test_silent_on_learning(n, noise):
    for seed in range(5):
        assert fires(check, run(loss=falling(n, noise=noise, seed=seed), lr=cosine_lr(n))) == []


def test_silent_on_the_tail_of_a_run():
    assert fires(check, run(loss=flat(2.5, 200, 0.03), first=8000)) == []


def test_the_first_steps_of_a_long_run_are_not_judged():
    made = run(loss=flat(10.5, 20, 0.03), config={"max_steps": 100_000})
    assert [type(said) for said in check.look(made)] == [NotChecked]


@pytest.mark.parametrize("rate", [{}, {"lr": np.linspace(1e-7, 1e-5, 14)}])
@pytest.mark.parametrize("fall", [0.002, 0.01, 0.1])
def test_silent_in_the_first_steps_of_a_warm_up_that_all_are_lower(rate, fall):
    assert fires(check, run(loss=10.9 - fall * np.arange(14), **rate)) == []


def test_settings():
    loss = np.linspace(2.5, 2.4, 300)
    assert fires(check, run(loss=loss)) == []
    assert len(fires(check, run(loss=loss), trivial=0.05)) == 1


def test_silent_on_healthy_runs():
    assert fires(check, healthy(100)) == []


def test_silent_on_a_fine_tune_that_learned_all_by_its_second_record():
    loss = np.r_[1.6, 1.42 + np.random.default_rng(0).normal(0, 0.02, 29)]
    assert fires(check, run(loss=loss, lr=np.linspace(2e-4, 1e-5, 30))) == []


def test_a_larger_learning_rate_is_advised_only_below_the_usual_ones():
    for peak, words in ((1e-6, "ten times larger"), (1e-3, "both ways")):
        (found,) = fires(check, run(loss=flat(2.5, 60, 0.03), lr=np.full(60, peak)))
        assert any(words in said for said in found.advice)


def noisy_fine_tune(gain: float, seed: int, n: int = 60, noise: float = 0.15) -> np.ndarray:
    """A loss that falls by a share of its level within the first records, and then stays, under the noise of small batches."""
    level = 1.4 * (1 + gain * np.exp(-np.arange(n) / (n / 8)))
    return level * np.exp(np.random.default_rng(seed).normal(0, noise, n))


@pytest.mark.parametrize(("gain", "n", "least", "most"), [(0.3, 60, 0, 0), (0.0, 600, 24, 30), (0.3, 600, 0, 0)])
def test_noise_that_could_hide_a_fall_says_nothing(gain, n, least, most):
    lr = np.linspace(2e-4, 1e-5, n)
    found = sum(len(fires(check, run(loss=noisy_fine_tune(gain, seed, n), lr=lr))) for seed in range(30))
    assert least <= found <= most


def test_noise_that_could_hide_a_fall_is_told():
    told = [said.why for said in check.look(run(loss=flat(2.5, 30, 0.15))) if isinstance(said, NotChecked)]
    assert told == ["the noise of the loss (10%) could hide that it falls"]


def test_of_a_policy_only_a_gradient_of_zero_counts():
    flat = levels((0.3, 100), seed=3)
    (found,) = fires(check, policy(grad_norm=np.zeros(100), reward=flat, loss=np.linspace(0, 0.4, 100)))
    assert found.message.startswith("Nothing is learned: the gradient norm is 0 in every record, and the reward")
    assert fires(check, policy(grad_norm=np.zeros(100))) == []
    assert fires(check, policy(reward=flat, loss=np.linspace(0, 0.4, 100))) == []


def test_of_pairs_neither_level_nor_trend_count():
    assert fires(check, pairs(loss=levels((0.75, 100), seed=4))) == []
    assert len(fires(check, pairs(loss=levels((0.75, 100), seed=4), grad_norm=np.zeros(100)))) == 1
    assert fires(check, pairs(grad_norm=np.zeros(100))) == []


@pytest.mark.parametrize(
    ("end", "kind", "found"), [(4.12, "epoch", 1), (4.12, "step", 0), (3.8, "epoch", 0), (0.0, "epoch", 0)]
)
def test_few_epochs_that_each_gain_next_to_nothing(end, kind, found):
    """The first steps of a run may gain as little, each lower than the one before; twenty passes over the data may not."""
    losses = np.linspace(4.15, end, 20) if end else np.linspace(1.20, 1.193, 20)
    assert len(fires(check, replace(run(loss=losses), step_kind=kind))) == found


@pytest.mark.parametrize("seed", range(20))
def test_silent_on_a_fine_tune_that_falls_at_once_by_a_fifteenth(seed):
    at = np.arange(300)
    loss = 1.20 + 0.10 * np.clip(1 - at / 10, 0, 1) + np.random.default_rng(seed).normal(0, 0.015, 300)
    assert fires(check, run(loss=loss)) == []


@pytest.mark.parametrize(("gain", "alarms"), [(0.08, 0), (0.0, 1)])
def test_evaluations_see_what_the_noise_of_batches_hides(gain, alarms):
    losses = 1.4 + np.random.default_rng(1).permutation(np.linspace(-0.2, 0.2, 60))
    made = run(loss=losses, val__loss=series(1.36 - gain * np.linspace(0, 1, 8) ** 0.5, every=7, first=7))
    assert len(fires(check, made)) == alarms


@pytest.mark.parametrize(("end", "found"), [(1.20, 0), (np.log(3), 1), (4.17, 1)])
def test_a_fall_at_once_by_a_fiftieth_is_learning_where_no_guess_costs_as_much(end, found):
    noise = np.random.default_rng(3).normal(0, 0.003 * end, 300)
    loss = end * (1 + 0.02 * (np.arange(300) < 5)) + noise
    assert len(fires(check, run(loss=loss))) == found


def test_a_fall_at_once_that_noise_may_make_is_none():
    noise = np.random.default_rng(3).normal(0, 0.02, 300)
    assert len(fires(check, run(loss=1.2 * (1 + 0.012 * (np.arange(300) < 5)) + noise))) == 1


def test_records_without_steps_begin_where_their_passes_do():
    loss = np.full(40, 5.0) + np.random.default_rng(0).normal(0, 0.02, 40)
    late = replace(run(loss=loss, epoch=0.66 + 0.002 * np.arange(40)), step_kind="record")
    early = replace(run(loss=loss, epoch=0.002 * np.arange(1, 41)), step_kind="record")
    assert fires(check, early)
    assert fires(check, late) == []
