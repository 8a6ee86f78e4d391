"""Loss and accuracy that point to different checkpoints are reported."""

import numpy as np
import pytest

from lmdiag.evaluations import fallen
from lmdiag.finding import Severity
from lmdiag.rules.generalization.metric_disagreement import check
from tests.rules.curves import falling, fires, healthy, run, series

RISING = series([0.6, 0.5, 0.45, 0.5, 0.55, 0.6], every=100, first=100)


def scored(*scores: float, name: str = "accuracy", losses=RISING):
    return run(loss=falling(600), val__loss=losses, **{f"val__{name}": series(scores, every=100, first=100)})


@pytest.mark.parametrize("name", ["accuracy", "f1", "auc"])
def test_fires_with_both_steps(name):
    (found,) = fires(check, scored(0.7, 0.75, 0.8, 0.83, 0.85, 0.86, name=name))
    assert (found.first_step, found.last_step) == (300, 600)
    assert "step 600" in found.advice[0]


@pytest.mark.parametrize(
    "scores", [(0.7, 0.75, 0.8, 0.79, 0.78, 0.77), (0.7, 0.75, 0.8, 0.8, 0.8, 0.805)], ids=["falls", "stands"]
)
def test_silent_when_the_metric_agrees(scores):
    assert fires(check, scored(*scores)) == []


def test_silent_while_the_loss_falls():
    falls = series([0.6, 0.55, 0.5, 0.48, 0.46, 0.45], every=100, first=100)
    assert fires(check, scored(0.7, 0.75, 0.8, 0.83, 0.85, 0.86, losses=falls)) == []


def test_silent_on_healthy_runs():
    assert fires(check, healthy(500)) == []


def answered(
    drop: float, n: int = 15, noise: float = 0.008, seed: int = 0, name: str = "general_accuracy", losses=None
):
    """Scores that rise, and from the fifth evaluation on fall, beside a loss that falls."""
    rng = np.random.default_rng(seed)
    scores = np.r_[np.linspace(0.7, 0.75, 5), 0.75 - np.linspace(0, drop, n - 5)] + rng.normal(0, noise, n)
    losses = np.linspace(1.0, 0.6, n) if losses is None else losses
    return run(
        loss=falling(100 * n),
        val__loss=series(losses, 100, 100),
        **{f"val__{name}": series(scores, every=100, first=100)},
    )


@pytest.mark.parametrize("name", ["general_accuracy", "accuracy", "f1"])
@pytest.mark.parametrize("seed", range(3))
def test_answers_that_get_worse_under_a_falling_loss_are_a_warning(name, seed):
    (found,) = fires(check, answered(0.2, seed=seed, name=name))
    assert (found.metric, found.severity) == (f"val/{name}", Severity.WARNING)
    assert 300 <= found.first_step <= 700
    assert found.evidence["fall_share"] == pytest.approx(0.25, abs=0.06)


def test_a_small_loss_of_answers_is_information():
    (found,) = fires(check, answered(0.065, n=30, noise=0.002))
    assert found.severity is Severity.INFO


def test_silent_where_the_loss_rises_with_them():
    rises = np.r_[np.linspace(1, 0.6, 5), np.linspace(0.6, 0.9, 10)]
    assert fires(check, answered(0.2, losses=rises)) == []


@pytest.mark.parametrize("noise", [0.005, 0.02, 0.05])
def test_silent_on_the_noise_of_answers(noise):
    told = [fires(check, answered(0.0, n=n, noise=noise, seed=seed)) for seed in range(30) for n in (8, 15, 60)]
    assert sum(map(len, told)) <= 1


def wandering(n: int, count: int, correlation: float = 0.6) -> np.ndarray:
    """Scores of four choices at chance, 0.25 +- 0.02, of which neighbours are correlated: float64[count, n]."""
    noise = np.random.default_rng(n).normal(size=(count, n))
    for i in range(1, n):
        noise[:, i] = correlation * noise[:, i - 1] + np.sqrt(1 - correlation**2) * noise[:, i]
    return 0.25 + 0.02 * noise


@pytest.mark.parametrize("n", [6, 8, 20, 50])
def test_scores_that_wander_around_chance_do_not_fall(n):
    told = [fallen(series(scores, every=100, first=100), 0.05) for scores in wandering(n, 400)]
    assert sum(fell is not None for fell in told) <= 2


def test_the_worst_of_many_scores_is_low_by_luck():
    losses = series(np.linspace(3.0, 2.4, 24), every=100, first=100)
    scores = {f"val__task{i}_acc": series(s, every=100, first=100) for i, s in enumerate(wandering(24, 30, 0.7))}
    assert fires(check, run(loss=falling(2400), val__loss=losses, **scores)) == []


@pytest.mark.parametrize("level", [0.0005, 0.02])
def test_scores_of_next_to_nothing_are_not_lost(level):
    fell = scored(*(level * np.array([1.0, 0.98, 0.99, 0.3, 0.2, 0.21, 0.2, 0.2])), losses=series(np.linspace(3, 2, 8)))
    assert fires(check, fell) == []


def only_scored(scores: np.ndarray, loss: np.ndarray | None = None, **others: np.ndarray):
    n = len(scores)
    return run(
        loss=falling(100 * n) if loss is None else loss,
        **{f"val__{name}": series(s, every=100, first=100) for name, s in {"accuracy": scores, **others}.items()},
    )


def best_at(row: int, drop: float, n: int = 20, noise: float = 0.003, seed: int = 0) -> np.ndarray:
    noises = np.random.default_rng(seed).normal(0, noise, n)
    return np.r_[np.linspace(0.5, 0.8, row), 0.8 - np.linspace(0, drop, n - row)] + noises


@pytest.mark.parametrize(("drop", "noise"), [(0.09, 0.003), (0.2, 0.01), (0.4, 0.02)])
@pytest.mark.parametrize("seed", range(3))
def test_a_score_that_falls_where_no_loss_is_evaluated_is_a_warning(drop, noise, seed):
    (found,) = fires(check, only_scored(best_at(8, drop, noise=noise, seed=seed)))
    assert (found.metric, found.severity) == ("val/accuracy", Severity.WARNING)
    assert 600 <= found.first_step <= 1000
    assert "the training loss did not rise" in found.message


def test_a_score_that_falls_with_a_diverging_loss_is_no_disagreement():
    loss = falling(2000)
    loss[800:] += np.linspace(0, 3, 1200)
    assert fires(check, only_scored(best_at(8, 0.2), loss)) == []


def test_one_of_several_scores_that_falls_a_little_is_information():
    (found,) = fires(check, only_scored(best_at(8, 0.07), f1=np.linspace(0.4, 0.8, 20)))
    assert found.severity is Severity.INFO


def test_silent_on_scores_that_saturate():
    told = []
    for n in (6, 12, 36, 60):
        rise = 1 - 0.5 * np.exp(-np.arange(1, n + 1) / (0.1 * n))
        for noises in (wandering(n, 100, correlation) - 0.25 for correlation in (0.0, 0.4, 0.8)):
            told += [fires(check, only_scored(0.8 * rise * (1 + 1.5 * noise))) for noise in noises]
    assert sum(found.severity is Severity.WARNING for one in told for found in one) <= 0.005 * len(told)
