"""Spikes that come back are information, with recovery class and cause; many of them are a warning."""

import numpy as np
import pytest

from lmdiag.finding import Severity
from lmdiag.rules.spikes.loss_spike import check
from tests.rules.curves import falling, fires, healthy, run


def spiked(*at: int, n: int = 500, factor: float = 1.6, **more):
    loss = falling(n, noise=0.02)
    for i in at:
        loss[i] *= factor
    return run(loss=loss, **more)


def test_one_spike_is_information_at_its_step():
    (found,) = fires(check, spiked(300))
    assert (found.severity, found.first_step, found.steps) == (Severity.INFO, 301, (301,))
    assert found.evidence["recovery_records"] == 1
    assert "came back fast" in found.message


def test_a_slow_recovery_is_said():
    loss = falling(1000, noise=0.01)
    loss[500:640] += np.linspace(4, 0, 140)
    (found,) = fires(check, run(loss=loss))
    assert "slowly" in found.message


def test_many_large_spikes_are_a_warning():
    (found,) = fires(check, spiked(*range(100, 500, 40)))
    assert found.severity is Severity.WARNING
    assert found.evidence["spikes"] == 10


@pytest.mark.parametrize(("norm", "words"), [(9.0, "9 times its usual value"), (1.0, "did not jump")])
def test_the_gradient_norm_tells_the_cause(norm, words):
    norms = np.ones(500)
    norms[300] = norm
    (found,) = fires(check, spiked(300, grad_norm=norms))
    assert words in found.message


def test_silent_on_healthy_runs():
    for n in (8, 30, 200, 2000):
        assert fires(check, healthy(max(n, 20))) == []


def by_heart(level: float):
    """A loss that has fallen to a level, of which one record in twelve holds an example that is not learned."""
    loss = np.maximum(0.7 * np.exp(-np.arange(240) / 4), level) * np.exp(np.random.default_rng(0).normal(0, 0.02, 240))
    loss[40::12] += 0.15
    return run(loss=loss)


def test_examples_not_learned_by_heart_are_information():
    (learned,), (not_yet,) = fires(check, by_heart(0.0003)), fires(check, by_heart(0.3))
    assert learned.severity is Severity.INFO
    assert not_yet.severity is Severity.WARNING
    assert learned.evidence["spikes"] >= 15


@pytest.mark.parametrize("period", [5, 7, 9])
def test_sources_of_data_that_take_turns_are_information(period):
    (found,) = fires(check, spiked(*range(60, 500, period), factor=1.3))
    assert found.severity is Severity.INFO


def test_spikes_that_keep_no_time_are_a_warning():
    (found,) = fires(check, spiked(*np.random.default_rng(0).choice(np.arange(60, 490), 40, replace=False), factor=1.4))
    assert found.severity is Severity.WARNING
