"""A loss that falls in a straight line and hardly shows a rate that is too low."""

import numpy as np
import pytest

from lmdiag.finding import NotChecked, Severity
from lmdiag.rules.schedule.lr_too_low import check
from tests.rules.curves import cosine_lr, falling, fires, healthy, run


def slow(lr: float, n: int = 400, fall: float = 1.0, noise: float = 0.03, **more):
    rng = np.random.default_rng(0)
    rates = np.r_[np.linspace(lr / 20, lr, 20), np.full(n - 20, lr)]
    return run(loss=np.linspace(10.8, 10.8 - fall, n) + rng.normal(0, noise, n), lr=rates, **more)


def test_a_tiny_rate_is_a_warning():
    (found,) = fires(check, slow(1e-6))
    assert found.severity is Severity.WARNING
    assert "1e-5," in found.advice[0]


def test_an_ordinary_rate_is_information():
    (found,) = fires(check, slow(1e-3))
    assert found.severity is Severity.INFO


def test_tiny_updates_confirm_it():
    (found,) = fires(check, slow(1e-3, update_ratio=np.full(400, 1e-7)))
    assert found.severity is Severity.WARNING


@pytest.mark.parametrize("n", [30, 100, 3000])
@pytest.mark.parametrize("noise", [0.02, 0.3])
def test_silent_on_learning(n, noise):
    for seed in range(5):
        made = run(loss=falling(n, noise=noise, seed=seed), lr=cosine_lr(n, 1e-6))
        assert fires(check, made) == []
    assert fires(check, healthy(n)) == []


def test_silent_on_flat_losses_fine_tunes_and_tails():
    assert fires(check, slow(1e-6, fall=0.0)) == []
    assert fires(check, run(loss=np.linspace(2.0, 1.8, 400), lr=np.full(400, 1e-6))) == []
    assert fires(check, slow(1e-6, first=100_000)) == []


def test_the_beginning_of_a_long_run_is_not_judged():
    made = slow(1e-6, config={"max_steps": 100_000})
    assert [type(said) for said in check.look(made)] == [NotChecked]
