"""A blow-up wider than a spike, and a hump, are found though the loss comes back; noise, spikes and what stays up are not."""

import numpy as np
import pytest

from lmdiag.finding import Severity
from lmdiag.rules.divergence.temporary_divergence import check
from lmdiag.run import Series
from tests.rules.curves import falling, fires, healthy, run, series


def noisy(values: np.ndarray, noise: float, seed: int = 0) -> np.ndarray:
    return values * np.exp(np.random.default_rng(seed).normal(0, noise, len(values)))


def blow_up(n: int = 170, width: int = 28) -> np.ndarray:
    """A loss of 12 that is thrown to 48 at its third record, and is back after `width` records."""
    up = np.zeros(n)
    up[2 : 2 + width] = 36 * (1 - np.arange(width) / width)
    return falling(n, start=12, floor=3, noise=0) + up


def hump(n: int = 500, height: float = 0.5, first: float = 0.2, width: float = 0.44) -> np.ndarray:
    """A loss that stands up to `height` of its level higher for a part of the run."""
    inside = np.clip((np.arange(n) / n - first) / width, 0, 1)
    return falling(n, start=9, floor=3, noise=0) * (1 + height * np.sin(np.pi * inside))


@pytest.mark.parametrize("noise", [0.003, 0.03, 0.07])
def test_a_blow_up_in_the_first_steps(noise):
    for seed in range(5):
        (found,) = fires(check, run(loss=noisy(blow_up(), noise, seed)))
        assert found.severity is Severity.WARNING
        assert found.first_step == 3
        assert found.last_step == pytest.approx(26, abs=5)


def test_a_blow_up_that_takes_little_of_the_run_is_information():
    (found,) = fires(check, run(loss=noisy(blow_up(5000), 0.03)))
    assert (found.severity, found.first_step) == (Severity.INFO, 3)


@pytest.mark.parametrize("n", [170, 1000, 5000])
@pytest.mark.parametrize("noise", [0.003, 0.03])
def test_a_hump(n, noise):
    (found,) = fires(check, run(loss=noisy(hump(n), noise)))
    assert found.severity is Severity.WARNING
    assert 0.2 * n <= found.first_step <= 0.4 * n
    assert 0.5 * n <= found.last_step <= 0.66 * n


@pytest.mark.parametrize(("risen", "severity"), [(1.0, Severity.WARNING), (0.0, Severity.INFO)])
def test_the_evaluations_tell_other_data_from_a_worse_model(risen, severity):
    at = np.arange(24, 500, 25)
    evaluations = falling(500, start=9, floor=3, noise=0)[at] * (1 - risen) + hump()[at] * risen
    made = run(loss=noisy(hump(), 0.01), val__loss=series(evaluations, every=25, first=25))
    (found,) = fires(check, made)
    assert found.severity is severity
    assert ("not a worse model" in found.message) == (severity is Severity.INFO)


def test_every_number_of_the_message_is_one_of_the_log():
    loss = np.r_[np.full(50, 3.0), np.full(30, 6.0), np.full(120, 2.9)]
    (found,) = fires(check, run(loss=loss))
    assert (
        found.message
        == "The loss rose from 3 to 6 (medians of a few records) in step 51 and was back at step 81: 15% of the run."
    )


def test_silent_on_a_spike():
    loss = noisy(falling(500, noise=0), 0.01)
    loss[200:203] *= 3
    assert fires(check, run(loss=loss)) == []


def test_what_stays_up_is_divergence():
    loss = noisy(falling(500, noise=0), 0.01)
    assert fires(check, run(loss=np.r_[loss[:300], loss[300:] + 3])) == []


@pytest.mark.parametrize("noise", [0.03, 0.15])
def test_silent_on_noise(noise):
    for seed in range(10):
        assert fires(check, run(loss=noisy(falling(400, noise=0), noise, seed))) == []


def test_silent_on_healthy_runs():
    assert fires(check, healthy(300)) == []


def test_a_smaller_rise_is_a_setting():
    loss = noisy(hump(height=0.22), 0.01)
    assert fires(check, run(loss=loss)) == []
    assert len(fires(check, run(loss=loss), smallest=0.05)) == 1


def test_evaluations_between_which_the_summit_lies_went_along():
    loss = noisy(falling(500, start=9, floor=3, noise=0), 0.01)
    after = np.exp(-np.arange(350) / 60)
    loss[150:] += 3 * after
    clean = falling(500, start=9, floor=3, noise=0)
    at = np.array([90, 130, 200, 330, 430])
    evaluated = clean[at] + np.where(at >= 150, 3 * np.exp(-(at - 150) / 60), 0)
    for followed, severity in ((evaluated, Severity.WARNING), (clean[at], Severity.INFO)):
        (found,) = fires(check, run(loss=loss, val__loss=Series(at + 1, followed)))
        assert found.severity is severity


@pytest.mark.parametrize("dropped", [True, False])
def test_blocks_of_other_data_are_information(dropped):
    """Two passes over the same data, a part of which is easier, rise where that part ends; without the drop it is a hump."""
    loss = falling(2000, floor=3)
    easy = slice(400, 800) if dropped else slice(0, 0)
    loss[easy] -= 0.7
    loss[1400:] -= 0.7 if dropped else 0
    loss[800:1400] += 0 if dropped else 0.9
    (found,) = fires(check, run(loss=loss))
    assert found.severity is (Severity.INFO if dropped else Severity.WARNING)
    assert ("had dropped as suddenly" in found.message) is dropped


@pytest.mark.parametrize(("height", "severity"), [(0.6, Severity.WARNING), (0.4, Severity.INFO)])
def test_a_short_hump_that_costs_most_of_what_a_low_loss_had_gained(height, severity):
    """0.7 nat are less than one, but all that was gained; two fifths of the level are not half of it."""
    at = np.arange(1000)
    loss = 1.1 + 0.6 * np.exp(-at / 150)
    loss[500:550] += height * loss[500] * (1 - np.arange(50) / 50)
    (found,) = fires(check, run(loss=noisy(loss, 0.01)))
    assert found.severity is severity
