"""A divergence at the peak rate with signs of too large steps, or a standstill with huge updates, blames the rate."""

import numpy as np
import pytest

from lmdiag.diagnose import diagnose
from lmdiag.finding import Severity
from lmdiag.rules.schedule.lr_too_high import check
from lmdiag.run import Series
from tests.rules.curves import cosine_lr, falling, fires, healthy, run

N = 500


def broken(at: int, rise: float = 4.0, lr: np.ndarray | None = None, **more):
    loss = falling(N)
    loss[at:] += rise * np.minimum(1, np.arange(N - at) / 20)
    return run(loss=loss, lr=cosine_lr(N, 1e-2) if lr is None else lr, **more)


def test_a_divergence_at_the_peak_without_warm_up():
    (found,) = fires(check, broken(60, lr=np.full(N, 1e-2)))
    assert found.severity is Severity.ERROR
    assert 55 <= found.first_step <= 85
    assert "no warm-up" in found.message
    assert found.changes[:2] == ({"lr": 0.001}, {"warmup_steps": 50})


def test_it_is_the_cause_of_the_divergence():
    found = {f.rule: f for f in diagnose(broken(60, lr=np.full(N, 1e-2))).findings}
    assert found["lr-too-high"].consequence_of is None
    assert found["divergence"].consequence_of == "lr-too-high"


@pytest.mark.parametrize(
    "sign",
    [{"update_ratio": np.full(N, 0.08)}, {"grad_norm": np.full(N, 9.0), "config": {"grad_clip": 1.0}}],
)
def test_signs_before_the_rise(sign):
    (found,) = fires(check, broken(60, **sign))
    assert found.evidence["signs"] == 2


def test_a_standstill_with_huge_updates():
    loss = np.r_[np.linspace(10.8, 7.6, 30), np.full(N - 30, 7.5)] + np.random.default_rng(0).normal(0, 0.05, N)
    weights = np.linspace(20, 120, N)
    made = run(loss=loss, lr=cosine_lr(N, 0.4), update_ratio=np.full(N, 0.05), param_norm=weights)
    (found,) = fires(check, made)
    assert found.severity is Severity.WARNING
    assert found.changes[0] == {"lr": 0.054}


@pytest.mark.parametrize(
    ("evaluations", "stated", "found"), [(9.0, None, 1), (4.0, 3.5, 1), (4.0, None, 0), (3.0, 3.5, 0)]
)
def test_a_run_that_never_came_back_from_its_start(evaluations, stated, found):
    loss = np.r_[np.linspace(6, 4, 25), np.linspace(4.2, 14, 75), np.full(N - 100, 13)] + np.random.default_rng(
        0
    ).normal(0, 0.2, N)
    loss[300:320] = 3.0  # a lucky dip is no return
    held = Series(np.arange(0, 501, 50), np.r_[6.0, np.full(10, evaluations)])
    config = {"reference_loss": {"unigram": stated}} if stated else {}
    weights = 20 * np.clip(np.arange(1, N + 1) / 5, 1, 10)
    made = run(
        loss=loss,
        lr=0.5 * np.minimum(1, np.arange(1, N + 1) / 30),
        update_ratio=np.full(N, 0.02),
        param_norm=weights,
        val__loss=held,
        config=config,
    )
    said = [f for f in fires(check, made) if "grew" in f.message and "above its start" in f.message]
    assert len(said) == found
    for finding in said:
        assert 24 <= finding.first_step <= 50
        assert finding.severity is Severity.ERROR
        assert (
            0.02 <= finding.changes[0]["lr"] <= 0.05
        )  # 2% of weights grown fourfold are 8%, ten times the usual, at about 0.35


def test_silent_late_in_a_run_with_one_sign_or_at_a_low_rate():
    assert fires(check, broken(300)) == []
    assert fires(check, broken(60)) == []
    assert fires(check, broken(400, update_ratio=np.full(N, 0.08))) == []


@pytest.mark.parametrize("n", [30, 500, 5000])
def test_silent_on_healthy_runs(n):
    for seed in range(5):
        assert fires(check, healthy(n, seed)) == []
    learning = run(loss=falling(n), lr=cosine_lr(n), update_ratio=np.full(n, 0.05), param_norm=np.linspace(20, 90, n))
    assert fires(check, learning) == []


@pytest.mark.parametrize(("before", "found"), [(18.5, 1), (9.0, 0)])
def test_a_cut_that_frees_the_loss_is_an_experiment(before, found):
    rng = np.random.default_rng(0)
    loss = np.r_[np.full(60, before), np.full(40, 8.4)] + rng.normal(0, 0.2, 100)
    made = run(loss=loss, lr=np.r_[np.full(60, 20.0), np.full(40, 5.0)])
    said = fires(check, made)
    assert len(said) == found
    assert all((f.first_step, f.last_step) == (1, 61) and f.changes[0] == {"lr": 5.0} for f in said)


def test_the_drop_of_a_step_decay_after_progress_is_none():
    loss = np.r_[np.linspace(10, 4, 60), np.full(40, 2.8)] + np.random.default_rng(0).normal(0, 0.02, 100)
    assert fires(check, run(loss=loss, lr=np.r_[np.full(60, 0.1), np.full(40, 0.01)])) == []


def held_up(evaluation: float | None = None, start: float = 10.8, seed: int = 0):
    """A loss that stands while the rate does, and falls with its decay; the evaluation falls by a share meanwhile."""
    at = np.arange(N) / N
    rates = 1e-2 * np.minimum(1, np.minimum((at + 0.01) / 0.03, (1 - at) / 0.4))
    rng = np.random.default_rng(seed)
    loss = 2.5 + (start - 4.5) * np.exp(-at / 0.02) + 2 * rates / 1e-2 + rng.normal(0, 0.1, N)
    steps = np.linspace(N // 10, N, 10).astype(int)
    beside = {}
    if evaluation is not None:
        beside = {"val__loss": Series(steps, 4.5 * (1 - evaluation * (1 - rates[steps - 1] / 1e-2)))}
    return run(loss=loss, lr=rates, **beside)


@pytest.mark.parametrize("evaluation", [None, 0.4])
def test_a_loss_that_the_rate_held_up(evaluation):
    (found,) = fires(check, held_up(evaluation))
    assert found.severity is Severity.WARNING
    assert found.first_step == pytest.approx(0.2 * N, abs=2)
    assert found.changes[0] == {"lr": 0.0033}


def test_silent_where_the_evaluation_does_not_share_the_fall():
    assert fires(check, held_up(0.0)) == []


def test_silent_on_a_fine_tune_that_may_learn_by_heart():
    assert fires(check, held_up(start=3.0)) == []


@pytest.mark.parametrize(("first", "found"), [(4.2, 1), (5.6, 0)])
def test_evaluations_that_only_the_decay_frees(first, found):
    n = 500
    rates = cosine_lr(n, peak=0.1)
    rates[25] = 0.1
    high = np.r_[first, 4.4 + 0.3 * np.random.default_rng(0).uniform(size=29), np.linspace(4.1, 3.2, 20)]
    loss = np.r_[np.linspace(5.2, 4.7, 20), np.full(280, 4.6), np.linspace(4.6, 3.2, 200)]
    said = fires(check, run(loss=loss, lr=rates, val__loss=Series(np.arange(10, n + 1, 10), high)))
    assert len(said) == found
    if said:
        assert "0.1 was too high" in said[0].message
        assert 0.001 < said[0].advice[0].change["lr"] < 0.05


@pytest.mark.parametrize(("epochs", "told"), [(1, 1), (3, 0)])
def test_a_fall_at_a_cut_is_no_epoch_that_ends_behind_it(epochs, told):
    at = np.arange(N) / N
    loss = np.where(at < 2 / 3, 2.0, 1.6) + 0.5 * np.exp(-at / 0.03) + np.random.default_rng(0).normal(0, 0.02, N)
    made = run(loss=loss, lr=np.where(at < 0.65, 1e-4, 1e-5), epoch=epochs * at)
    assert len(fires(check, made)) == told
