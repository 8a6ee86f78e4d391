"""A stretch of lower losses is said, and held against the run where the evaluation did not follow; lasting levels are not."""

import numpy as np
import pytest

from lmdiag.finding import Severity
from lmdiag.rules.data import level_shift
from lmdiag.rules.data.repeated_stretch import check
from lmdiag.run import Series
from tests.rules.curves import falling, fires, healthy, run, series

AT = np.arange(50, 1001, 50)


def dipped(
    size: float, first: int = 500, stop: int = 700, seed: int = 0, evaluation_follows: float = 0.0, n: int = 1000
):
    loss, clean = falling(n, start=8, noise=0.03, seed=seed), falling(n, start=8, noise=0)
    loss[first:stop] -= size
    at = AT[n // 1000 * AT <= n]
    evaluations = clean[at - 1] + 0.1 - evaluation_follows * size * ((at > first) & (at <= stop))
    return run(loss=loss, val__loss=series(evaluations, every=50, first=50))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("stretch", [(300, 420), (500, 700), (600, 900)])
def test_a_dip_that_the_evaluation_does_not_follow_is_a_warning(stretch, seed):
    (found,) = fires(check, dipped(0.4, *stretch, seed=seed))
    assert found.severity is Severity.WARNING
    assert (found.first_step, found.last_step) == pytest.approx((stretch[0] + 1, stretch[1]), abs=4)
    assert found.evidence["nats"] == pytest.approx(0.4, abs=0.1)


def test_without_evaluations_or_where_they_follow_it_is_information():
    followed = dipped(0.4, evaluation_follows=1.0)
    without = run(loss=followed["loss"].values)
    assert [fires(check, made)[0].severity for made in (followed, without)] == [Severity.INFO] * 2


def test_a_hundredth_of_the_run_is_no_alarm():
    (found,) = fires(check, dipped(0.6, 3000, 3060, n=4000))
    assert found.severity is Severity.INFO


def test_such_a_level_does_not_last():
    assert fires(level_shift.check, dipped(0.4)) == []


@pytest.mark.parametrize("size", [0.0, 0.05, -0.4])
def test_silent_on_small_dips_and_on_a_stretch_of_higher_losses(size):
    assert fires(check, dipped(size)) == []


def test_silent_where_the_new_level_lasts():
    assert fires(check, dipped(0.4, 500, 1000)) == []


@pytest.mark.parametrize("n", [200, 1000, 20_000])
def test_silent_on_healthy_runs(n):
    for seed in range(5):
        assert fires(check, healthy(n, seed)) == []


def test_a_stretch_between_noisy_losses():
    steps = np.arange(1, 301)
    for seed in range(4):
        loss = 2.3 + 2.2 * (1 + steps / 10.0) ** -0.7 + np.random.default_rng(seed).normal(0, 0.16, 300)
        loss[120:180] -= 0.65
        evaluations = Series(steps[19::20], 2.35 + 2.2 * (1 + steps[19::20] / 10.0) ** -0.7)
        (found,) = fires(check, run(loss=loss, val__loss=evaluations))
        assert found.severity is Severity.WARNING
        assert abs(found.first_step - 121) <= 3
