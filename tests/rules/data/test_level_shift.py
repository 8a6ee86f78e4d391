"""A sudden step that nothing explains is reported; smooth misfit, annealing and explained steps are not."""

import re
from dataclasses import replace

import numpy as np
import pytest

from lmdiag.finding import Severity
from lmdiag.rules.data.level_shift import check
from lmdiag.run import Segment
from tests.rules.curves import falling, fires, healthy, run, series


def shifted(size: float, at: int = 500, n: int = 1000, noise: float = 0.03, seed: int = 0) -> np.ndarray:
    loss = falling(n, start=8, noise=noise, seed=seed)
    loss[at:] += size
    return loss


@pytest.mark.parametrize("seed", range(4))
def test_finds_a_step_down(seed):
    (found,) = fires(check, run(loss=shifted(-0.5, seed=seed)))
    assert abs(found.first_step - 501) <= 5
    assert found.evidence["step_size"] == pytest.approx(-0.5, abs=0.2)
    assert found.severity is Severity.INFO


def test_a_loss_steps_down_by_less_than_its_level():
    loss = np.concatenate([falling(500, start=8, noise=0.03), np.full(500, 0.02)])
    loss[500:] *= np.exp(np.random.default_rng(0).normal(0, 0.05, 500))
    (found,) = fires(check, run(loss=loss))
    before = found.evidence["level_before"]
    assert found.evidence["step_size"] == pytest.approx(0.02 - before, abs=0.01)


def test_a_step_up_in_mid_descent_with_the_evaluation_is_a_warning():
    loss = 2 + 8 * (np.arange(1, 1001) / 20) ** -0.35 + np.random.default_rng(0).normal(0, 0.03, 1000)
    loss[300:] += 0.35
    evaluations = series([6.2, 5.3, 5.0, 5.4, 5.35, 5.3, 5.25, 5.2, 5.2, 5.2], every=100, first=100)
    (found,) = fires(check, run(loss=loss, val__loss=evaluations))
    assert found.severity is Severity.WARNING


STEADY = np.full(400, 3e-4)


def divided(by: float, at: int = 200, noise: float = 0.02, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    loss = falling(400, start=10.5, floor=3.5, noise=0) * np.exp(rng.normal(0, noise, 400))
    loss[at:] /= by
    return loss


@pytest.mark.parametrize("at", [100, 200, 300])
@pytest.mark.parametrize("by", [4, 8, 16])
def test_a_loss_in_another_unit_is_a_warning(by, at):
    loss = divided(by, at, seed=by)
    (found,) = fires(check, run(loss=loss, lr=STEADY))
    assert (found.severity, found.first_step) == (Severity.WARNING, at + 1)
    assert f"keeps its new level, as if divided by about {by} from there on." in found.message
    assert found.evidence["step_size"] == pytest.approx(loss[at] - loss[at - 1], rel=0.05)


def test_a_fall_that_may_be_real_is_information():
    evaluations = series(np.r_[np.linspace(5, 4.5, 10), np.linspace(1.2, 1, 10)], every=20, first=20)
    noisier = divided(4)
    noisier[200:] *= np.exp(np.random.default_rng(3).normal(0, 0.1, 200))
    for made in (
        run(loss=divided(2), lr=STEADY),
        run(loss=divided(4.5), lr=STEADY),
        run(loss=divided(23), lr=STEADY),
        run(loss=noisier, lr=STEADY),
        run(loss=divided(4), lr=STEADY, val__loss=evaluations),
    ):
        (found,) = fires(check, made)
        assert (found.severity, found.first_step) == (Severity.INFO, 201)
        assert found.evidence["step_size"] < 0


@pytest.mark.parametrize("n", [80, 400])
@pytest.mark.parametrize(("by", "severity"), [(2, "WARNING"), (4, "WARNING"), (2.7, "INFO"), (4.9, "INFO")])
@pytest.mark.parametrize("lr", [{}, {"lr": STEADY}], ids=["no rate", "a rate"])
def test_a_division_that_no_evaluation_shares_is_of_another_unit(by, severity, n, lr):
    loss = divided(by)[np.linspace(0, 399, n).astype(int)]
    evaluations = series(np.linspace(5, 4.5, 10), every=n // 10, first=n // 10)
    (found,) = fires(check, run(loss=loss, val__loss=evaluations, **{name: rates[:n] for name, rates in lr.items()}))
    assert (found.severity.name, found.first_step) == (severity, pytest.approx(n // 2 + 1, abs=1))
    assert re.search(r"; val/loss was 4\.\d+ before it and 4\.\d+ after it", found.message)
    assert found.message.endswith(": another unit, or other data.") is (severity == "INFO")


@pytest.mark.parametrize("at", [800, 801, 802])
@pytest.mark.parametrize("noise", [0.02, 0.1, 0.2])
def test_a_long_log_is_divided_within_a_stretch_of_it(at, noise):
    rng = np.random.default_rng(at)
    loss = falling(1700, start=10.5, floor=3.5, noise=0) * np.exp(rng.normal(0, noise, 1700))
    loss[at:] /= 4
    evaluations = series(np.linspace(5, 4.5, 17), every=100, first=100)
    (found,) = fires(check, run(loss=loss, val__loss=evaluations))
    assert (found.severity, found.first_step) == (Severity.WARNING, pytest.approx(at + 1, abs=3))


@pytest.mark.parametrize("by", [1.3, 1.5])
def test_easier_data_is_no_other_unit(by):
    evaluations = series(np.linspace(5, 4.5, 10), every=40, first=40)
    told = fires(check, run(loss=divided(by), val__loss=evaluations))
    assert [f.severity for f in told if f.severity is not Severity.INFO] == []


@pytest.mark.parametrize("seed", range(6))
def test_what_a_decay_of_the_rate_may_have_done_is_information(seed):
    rng, epochs = np.random.default_rng(seed), np.arange(120)
    loss = np.where(epochs < 60, 0.43 + 1.6 * np.exp(-epochs / 12), 0.43 / 4) * np.exp(rng.normal(0, 0.03, 120))
    evaluations = np.where(epochs < 60, 0.62 + 1.4 * np.exp(-epochs / 12), 0.58) * np.exp(rng.normal(0, 0.02, 120))
    for made in (run(loss=loss), run(loss=loss, val__loss=evaluations)):
        (found,) = fires(check, made)
        assert (found.severity, found.first_step) == (Severity.INFO, 61)
        assert "divided" not in found.message


@pytest.mark.parametrize(("peak", "severity"), [(2.0, Severity.WARNING), (1.0, Severity.INFO)])
def test_a_level_that_a_spike_left_behind_is_a_warning(peak, severity):
    loss = 2 + 8 * (np.arange(1, 1001) / 20) ** -0.35 + np.random.default_rng(0).normal(0, 0.03, 1000)
    loss[300:] += 0.35
    loss[300:302] *= peak
    (found,) = fires(check, run(loss=loss))
    assert (found.severity, found.first_step) == (severity, pytest.approx(301, abs=3))


def test_a_fall_within_several_records_is_no_other_unit():
    loss = divided(1)
    loss[200:] /= 1 + 7 * np.clip(np.arange(200) / 8, 0, 1)
    assert [
        f for f in fires(check, run(loss=loss)) if f.severity is Severity.WARNING or f.evidence["step_size"] > 0
    ] == []


@pytest.mark.parametrize("size", [0.0, -0.05])
def test_silent_on_small_steps(size):
    assert fires(check, run(loss=shifted(size))) == []


def test_silent_when_a_restart_an_epoch_or_the_rate_explains_it():
    loss = shifted(-0.5)
    restarted = replace(run(loss=loss), segments=(Segment(1, 500, 0), Segment(501, 1000, 500)))
    assert fires(check, restarted) == []
    assert fires(check, run(loss=loss, epoch=np.arange(1000) / 500)) == []
    assert fires(check, run(loss=loss, lr=np.r_[np.full(500, 1e-3), np.full(500, 1e-4)])) == []


def test_the_end_of_an_epoch_explains_no_step_up():
    loss = 2 + 8 * (np.arange(1, 1001) / 20) ** -0.35 + np.random.default_rng(0).normal(0, 0.03, 1000)
    loss[300:] += 0.35 * np.exp(-np.arange(700) / 200)
    evaluations = series(np.r_[np.linspace(6.2, 5.1, 15), np.linspace(5.4, 4.4, 35)], every=20, first=20)
    (found,) = fires(check, run(loss=loss, val__loss=evaluations, epoch=np.arange(1000) / 300))
    assert (found.severity, found.first_step) == (Severity.WARNING, pytest.approx(301, abs=5))


def test_an_evaluation_that_is_high_by_chance_did_not_rise_with_it():
    warned = []
    for seed in range(20):
        noise = np.random.default_rng(seed).normal(0, 0.2, 50)
        (found,) = fires(check, run(loss=shifted(0.3), val__loss=series(4 + noise, every=20, first=20)))
        warned += [seed] if found.severity is Severity.WARNING else []
    assert warned == []


@pytest.mark.parametrize("n", [200, 1000, 20_000])
def test_silent_on_healthy_runs(n):
    for seed in range(5):
        assert fires(check, healthy(n, seed)) == []
        annealed = falling(n, seed=seed) - 0.4 * np.clip(np.arange(n) / n - 0.8, 0, 1) / 0.2
        assert fires(check, run(loss=annealed)) == []


@pytest.mark.parametrize("height", [3, 5, 8])
def test_a_spike_that_comes_back_is_no_new_level(height):
    loss = falling(500, floor=2.8, start=10.9, noise=0.02)
    loss[300:315] += height * np.exp(-np.arange(15) / 3)
    assert fires(check, run(loss=loss)) == []


def test_a_step_that_is_undone_by_and_by_is_no_new_level():
    loss = 4.5 + np.random.default_rng(0).normal(0, 0.02, 400)
    loss[200:240] += 0.4
    loss[240:280] += np.linspace(0.4, 0, 40)
    evaluations = series(np.r_[np.full(10, 4.5), 4.9, 4.9, np.full(8, 4.6)], every=20, first=20)
    assert fires(check, run(loss=loss, val__loss=evaluations)) == []
