"""Early spikes without warm-up are reported; a missing warm-up alone, or spikes after a warm-up, are not."""

import numpy as np

from lmdiag.finding import Severity
from lmdiag.rules.spikes.early_instability import check
from tests.rules.curves import cosine_lr, falling, fires, healthy, run

FLAT = np.full(1000, 1e-3)


def spiked(*at: int, factor: float = 2.0) -> np.ndarray:
    loss = falling(1000, noise=0.02)
    loss[list(at)] *= factor
    return loss


def test_three_spikes_are_a_warning():
    (found,) = fires(check, run(loss=spiked(30, 55, 80), lr=FLAT))
    assert found.severity is Severity.WARNING
    assert found.steps == (31, 56, 81)
    assert found.changes[0] == {"warmup_steps": 100}


def test_two_are_information():
    (found,) = fires(check, run(loss=spiked(30, 80), lr=FLAT))
    assert found.severity is Severity.INFO


def risen(factor: float, records: int) -> np.ndarray:
    loss = falling(1000, noise=0.02)
    loss[3 : 3 + records] = factor * loss[0]
    return loss


def test_a_rise_above_the_first_loss_is_a_warning():
    (found,) = fires(check, run(loss=risen(1.5, 20), lr=FLAT))
    assert found.severity is Severity.WARNING
    assert found.evidence["highest"] > 1.3 * found.evidence["first"]


def test_silent_on_a_small_or_a_single_rise():
    assert fires(check, run(loss=risen(1.1, 20), lr=FLAT)) == []
    assert fires(check, run(loss=risen(1.5, 1), lr=FLAT)) == []
    assert fires(check, run(loss=risen(1.5, 20), lr=cosine_lr(1000))) == []


def test_silent_with_a_warmup():
    assert fires(check, run(loss=spiked(30, 55, 80), lr=cosine_lr(1000))) == []


def test_silent_without_early_spikes():
    assert fires(check, run(loss=spiked(), lr=FLAT)) == []
    assert fires(check, run(loss=spiked(500, 600, 700), lr=FLAT)) == []


def test_silent_where_the_rest_has_as_many():
    """Losses of single batches with a long tail have their spikes all through the run."""
    assert fires(check, run(loss=spiked(30, 55, 80, *range(130, 990, 60)), lr=FLAT)) == []


def test_silent_on_a_log_without_its_start():
    assert fires(check, run(loss=spiked(30, 55, 80), lr=FLAT, first=9000)) == []


def test_silent_on_healthy_runs():
    for seed in range(5):
        assert fires(check, healthy(400, seed)) == []


def test_silent_where_only_the_first_record_is_low():
    loss = falling(1000, noise=0.02)
    loss[0] /= 2
    assert fires(check, run(loss=loss, lr=FLAT)) == []


def test_a_first_record_low_by_chance_is_no_start():
    lr = np.linspace(2e-4, 1e-5, 200)
    noisy = [1.5 * np.exp(np.random.default_rng(seed).normal(0, 0.3, 200)) for seed in range(30)]
    assert sum(len(fires(check, run(loss=loss, lr=lr))) for loss in noisy) <= 1


def test_three_spikes_among_a_thousand_early_records_are_information():
    loss = falling(10_000, noise=0.02)
    loss[[300, 550, 800]] *= 2.0
    (found,) = fires(check, run(loss=loss, lr=np.full(10_000, 1e-3)))
    assert found.severity is Severity.INFO


def test_the_rate_comes_first_where_updates_were_measured_to_be_too_large():
    """Such a rate is as much too high behind a warm-up."""
    for share, first in ((0.1, "Lower the learning rate"), (0.01, "Warm up")):
        (found,) = fires(check, run(loss=risen(1.5, 20), lr=FLAT, update_ratio=np.full(1000, share)))
        assert found.advice[0].startswith(first)
