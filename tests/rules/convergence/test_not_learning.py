"""A loss that does not fall is found at any level; slow learners, warm-up and tails of runs are left alone."""

import re

import numpy as np
import pytest

from lmdiag.finding import NotChecked, Severity
from lmdiag.rules.convergence.not_learning import check
from tests.rules.curves import cosine_lr, falling, fires, healthy, run, series


def flat(level: float, n: int, noise: float = 0.03, seed: int = 0) -> np.ndarray:
    return level + level * noise * np.random.default_rng(seed).normal(size=n)


@pytest.mark.parametrize("level", [0.7, 2.5, 4.0, 10.4])
@pytest.mark.parametrize("n", [30, 100, 1000])
def test_flat_losses(level, n):
    found = [fires(check, run(loss=flat(level, n, seed=seed))) for seed in range(5)]
    assert sum(map(len, found)) == 5


def test_the_uniform_guess_is_named_and_an_error():
    (found,) = fires(check, run(loss=flat(10.82, 200, 0.002)))
    assert found.severity is Severity.ERROR
    assert "uniform guess" in found.message


def test_a_fall_to_the_uniform_guess_is_not_learning():
    loss = np.r_[np.linspace(13, 10.9, 8), flat(10.8, 15, 0.005)]
    assert len(fires(check, run(loss=loss, lr=np.linspace(1e-4, 1e-5, 23)))) == 1


def test_a_trivial_but_significant_gain_is_not_learning():
    loss = np.linspace(2.500, 2.490, 300) + np.random.default_rng(0).normal(0, 0.001, 300)
    (found,) = fires(check, run(loss=loss))
    assert "gain of" in found.message


def test_a_loss_that_rose_is_said_to_have_risen():
    (found,) = fires(check, run(loss=np.r_[flat(4.0, 10), flat(8.0, 90, 0.2)]))
    assert re.fullmatch(r"The loss is 8\S* at the end, above the 4\S* at the start \(100 records\)\.", found.message)


def test_a_zero_learning_rate_is_named_first():
    (found,) = fires(check, run(loss=flat(4.0, 100), lr=np.zeros(100)))
    assert "learning rate is zero" in found.advice[0]


@pytest.mark.parametrize("n", [12, 30, 100, 1000])
@pytest.mark.parametrize("noise", [0.02, 0.3])
def test_silent_on_learning(n, noise):
    for seed in range(5):
        assert fires(check, run(loss=falling(n, noise=noise, seed=seed), lr=cosine_lr(n))) == []


def test_silent_on_the_tail_of_a_run():
    assert fires(check, run(loss=flat(2.5, 200), first=8000)) == []


def test_the_first_steps_of_a_long_run_are_not_judged():
    made = run(loss=flat(10.5, 20), config={"max_steps": 100_000})
    assert [type(said) for said in check.look(made)] == [NotChecked]


def test_silent_on_healthy_runs():
    assert fires(check, healthy(100)) == []


def test_silent_on_a_fine_tune_that_learned_all_by_its_second_record():
    loss = np.r_[1.6, 1.42 + np.random.default_rng(0).normal(0, 0.02, 29)]
    assert fires(check, run(loss=loss, lr=np.linspace(2e-4, 1e-5, 30))) == []


def test_losses_that_come_again_to_the_last_digit():
    once = np.round(1 + np.random.default_rng(0).uniform(0, 0.4, 8), 4)
    (found,) = fires(check, run(loss=np.r_[once, once[:6]]))
    assert "from record 9 on the first losses come again" in found.message
    assert fires(check, run(loss=np.r_[once, once[:5], 0.5])) == []


def test_a_larger_learning_rate_is_advised_only_below_the_usual_ones():
    for peak, words in ((1e-6, "ten times larger"), (1e-3, "both ways")):
        (found,) = fires(check, run(loss=flat(2.5, 60), lr=np.full(60, peak)))
        assert any(words in said for said in found.advice)


@pytest.mark.parametrize(("accuracy", "found"), [(0.5, 1), (0.8, 0)])
def test_a_classifier_at_chance_is_seen_without_the_start(accuracy, found):
    loss = np.linspace(0.699, 0.690, 40)
    made = run(loss=loss, accuracy=np.full(40, accuracy), first=8, objective="classification")
    assert len(fires(check, made)) == found


@pytest.mark.parametrize(("area", "found"), [(0.5, 1), (0.7, 0)])
def test_a_roc_curve_of_tossing_a_coin(area, found):
    loss = np.r_[0.79, 0.70, np.linspace(0.696, 0.6933, 36)]
    made = run(loss=loss, auc=np.full(38, area), accuracy=np.full(38, 0.005), objective="classification")
    assert len(fires(check, made)) == found


@pytest.mark.parametrize(("end", "found"), [(0.6932, 1), (0.66, 0)])
def test_training_and_evaluation_that_stay_at_ln_2(end, found):
    loss = np.r_[0.79, 0.72, np.linspace(0.70, 0.6935, 8), np.linspace(0.6935, end, 20)]
    made = run(loss=loss, val__loss=series(np.r_[0.72, np.full(9, 0.6935), np.linspace(0.6935, end, 20)]))
    assert len(fires(check, made)) == found


def noisy_fine_tune(gain: float, seed: int, n: int = 60, noise: float = 0.15) -> np.ndarray:
    """A loss that falls by a share of its level within the first records, and then stays, under the noise of small batches."""
    level = 1.4 * (1 + gain * np.exp(-np.arange(n) / (n / 8)))
    return level * np.exp(np.random.default_rng(seed).normal(0, noise, n))


@pytest.mark.parametrize(("gain", "least", "most"), [(0.3, 0, 5), (0.0, 24, 30)])
def test_noise_that_could_hide_a_fall_says_nothing(gain, least, most):
    lr = np.linspace(2e-4, 1e-5, 60)
    found = sum(len(fires(check, run(loss=noisy_fine_tune(gain, seed), lr=lr))) for seed in range(30))
    assert least <= found <= most
