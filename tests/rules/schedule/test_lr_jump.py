"""A rate that jumps after having decayed is said; with a resume and a rising loss it is a warning."""

from dataclasses import replace

import numpy as np
import pytest

from lmdiag.finding import Severity
from lmdiag.rules.schedule.lr_jump import check
from lmdiag.run import Segment
from lmdiag.stats.noise import smoothing
from tests.rules.curves import cosine_lr, falling, fires, healthy, lasting_noise, run, series

N = 400


def jumped(at: int = 300, rise: float = 0.0, resumed: bool = False):
    lr, loss = cosine_lr(N), falling(N)
    lr[at:], loss[at:] = 1e-3, loss[at:] + rise
    made = run(loss=loss, lr=lr)
    return replace(made, segments=(Segment(1, at, 0), Segment(at + 1, N, at))) if resumed else made


def test_a_jump_is_information():
    (found,) = fires(check, jumped())
    assert (found.severity, found.first_step) == (Severity.INFO, 301)
    assert found.evidence["after"] == 1e-3


def test_a_jump_at_a_resume_with_a_rising_loss_is_a_warning():
    (found,) = fires(check, jumped(rise=0.4, resumed=True))
    assert found.severity is Severity.WARNING
    assert "the loss rose by 0.39 nats" in found.message
    assert fires(check, jumped(resumed=True))[0].severity is Severity.INFO


def test_a_jump_that_costs_steps_is_a_warning():
    (found,) = fires(check, jumped(rise=0.4))
    assert found.severity is Severity.WARNING
    assert found.evidence["cost_steps"] == 99
    assert "was not back in the 99 steps since" in found.message
    loss = falling(N)
    loss[300:320] += 0.4
    (found,) = fires(check, run(loss=loss, lr=jumped()["lr"].values))
    assert found.severity is Severity.INFO
    assert found.evidence["cost_steps"] == pytest.approx(20, abs=8)


@pytest.mark.parametrize("cycles", [(100, 100, 100, 100), (57, 114, 229), (200, 200)])
def test_the_restarts_of_a_cyclic_schedule_are_information(cycles):
    lr = np.concatenate([np.linspace(1e-3, 1e-6, n) for n in cycles])
    loss = falling(N)
    loss[cycles[0] :] += 0.4
    assert fires(check, run(loss=loss, lr=lr))[0].severity is Severity.INFO


def cycles(*lengths, before=()):
    """Findings of restarts behind which the loss stays higher; a negative length is that of a cycle whose first two fifths are not in the log."""
    full = [np.linspace(1e-3, 1e-6, n) if n > 0 else np.linspace(6e-4, 1e-6, -n) for n in lengths]
    loss = falling(len(before) + sum(map(abs, lengths)))
    loss[len(before) + abs(lengths[0]) :] += 0.4
    return fires(check, run(loss=loss, lr=np.concatenate([before, *full])))


def test_the_first_cycle_begins_behind_the_warm_up_or_before_the_log():
    assert cycles(100, 100, 100, before=np.linspace(1e-5, 1e-3, 30))[0].severity is Severity.INFO
    assert cycles(-60, 100, 100)[0].severity is Severity.INFO
    assert cycles(-160, 100, 100)[0].severity is Severity.WARNING
    assert cycles(60, 100, 100)[0].severity is Severity.WARNING


def test_a_smoothed_loss_that_wanders_did_not_rise_at_the_jump():
    made = jumped()
    wandering = falling(N, noise=0) + np.convolve(lasting_noise(N + 49, 1), np.full(50, 0.03), "valid")
    wandering[300:] += 0.25
    assert smoothing(wandering) > 0.8
    assert fires(check, replace(made, series={**made.series, "loss": series(wandering)}))[0].evidence["loss_rise"] == 0


def test_after_a_resume_the_rate_may_be_far_above_its_former_peak():
    lr, loss = cosine_lr(N), falling(N)
    lr[300:] *= 10
    made = run(loss=loss, lr=lr)
    (found,) = fires(check, replace(made, segments=(Segment(1, 300, 0), Segment(301, N, 300))))
    assert found.evidence["after"] / found.evidence["before"] == pytest.approx(10, rel=0.05)


def test_a_second_warm_up_is_information():
    lr = np.r_[cosine_lr(N)[:200], cosine_lr(N)[:200]]
    (found,) = fires(check, run(loss=falling(N), lr=lr))
    assert "warms up again" in found.message
    assert found.first_step == 201


@pytest.mark.parametrize("factor", [2, 10, 100])
def test_a_jump_of_a_constant_rate_is_found_however_far(factor):
    lr = np.full(N, 1e-4)
    lr[:20] *= np.linspace(0.05, 1, 20)
    lr[250:] *= factor
    (found,) = fires(check, run(loss=falling(N), lr=lr))
    assert found.first_step == 251


def test_restarts_are_one_finding():
    (found,) = fires(check, run(loss=falling(N), lr=np.tile(np.linspace(1e-3, 1e-5, 100), 4)))
    assert found.steps == (101, 201, 301)


@pytest.mark.parametrize(
    "lr",
    [
        cosine_lr(N),
        10.0 ** -(3 + np.arange(N) // 100),  # step decay
        np.r_[np.linspace(0, 1e-3, 5), np.full(N - 5, 1e-3)],  # a steep warm-up
        np.r_[np.zeros(3), np.full(N - 3, 1e-3)],  # and one in one step
        np.tile([1e-3, 1e-4], N // 2),  # two groups in turn
        1e-3 * np.abs(np.sin(np.arange(N) / 20)),  # cyclic
    ],
)
def test_silent(lr):
    assert fires(check, run(loss=falling(N), lr=lr)) == []


def test_silent_on_healthy_runs():
    assert fires(check, healthy(300)) == []
