"""The noise of the loss betrays batches that come again after a restart."""

from dataclasses import replace

import numpy as np
import pytest

from lmdiag.finding import Severity
from lmdiag.rules.data.replayed_data import check
from lmdiag.run import Segment
from tests.rules.curves import falling, fires, run

N, RESTART = 1200, 800


def restarted(copied_from: int | None, own_noise: float = 0.3, epoch=None, seed: int = 0):
    rng = np.random.default_rng(seed)
    difficulty = rng.normal(0, 1, N)
    if copied_from is not None:
        difficulty[RESTART:] = difficulty[copied_from : copied_from + N - RESTART]
    loss = falling(N, noise=0) + 0.05 * (difficulty + own_noise * rng.normal(0, 1, N))
    made = run(loss=loss) if epoch is None else run(loss=loss, epoch=epoch)
    return replace(made, segments=(Segment(1, RESTART, 0), Segment(RESTART + 1, N, RESTART)))


@pytest.mark.parametrize("copied_from", [100, 300])
def test_finds_the_copy(copied_from):
    (found,) = fires(check, restarted(copied_from))
    assert found.severity is Severity.WARNING
    assert (found.first_step, found.evidence["copied_from"]) == (RESTART + 1, copied_from + 1)


def test_the_first_batches_of_all_may_have_had_other_losses():
    made = restarted(0)
    losses = made["loss"].values.copy()
    losses[:160] = falling(N, noise=0.06, seed=9)[:160]  # the model had only begun to learn
    (found,) = fires(check, replace(run(loss=losses), segments=made.segments))
    assert found.evidence["records"] == (N - RESTART) // 2
    assert found.evidence["copied_from"] == 1


def test_equal_epochs_are_information():
    (found,) = fires(check, restarted(300, epoch=np.arange(N) / 500))
    assert found.severity is Severity.INFO


def test_silent_on_new_batches():
    for seed in range(10):
        assert fires(check, restarted(None, seed=seed)) == []


def test_silent_on_weak_likeness():
    assert fires(check, restarted(100, own_noise=2.0)) == []


def test_silent_without_a_restart():
    assert fires(check, run(loss=falling(N))) == []
