"""A rate of zero is an error if nothing is learned; a dead tail is a warning if it is long and in vain."""

import numpy as np
import pytest

from lmdiag.finding import NotChecked, Severity
from lmdiag.rules.schedule.zero_lr import check
from lmdiag.run import Series
from tests.rules.curves import cosine_lr, falling, fires, healthy, levels, policy, run

NOISE = np.random.default_rng(0).normal(0, 0.03, 400)


def test_all_zero_and_nothing_learned():
    (found,) = fires(check, run(loss=4 + NOISE, lr=np.zeros(400)))
    assert found.severity is Severity.ERROR
    assert "in all 400 records" in found.message


def test_a_rate_of_zero_has_no_share_of_its_peak():
    made = run(loss=falling(400), lr=np.repeat([1e-3, 0.0], 200))
    assert fires(check, made)[0].message == "The learning rate is 0 from step 201 on (50% of the run)."
    assert fires(check, dead(0.3))[0].message.endswith("(30% of the run): it ends at 0.")


def test_all_zero_although_the_loss_falls_is_information():
    (found,) = fires(check, run(loss=falling(400), lr=np.zeros(400)))
    assert found.severity is Severity.INFO


@pytest.mark.parametrize("reward", [((0.2, 30), (0.7, 70)), ((0.2, 30), (0.7, 40), (0.1, 30))])
def test_all_zero_although_the_reward_moves_is_information(reward):
    (found,) = fires(check, policy(reward=levels(*reward), lr=np.zeros(100)))
    assert found.severity is Severity.INFO
    assert "although the reward moves" in found.message


def test_all_zero_and_a_reward_that_stays_is_an_error():
    (found,) = fires(check, policy(loss=levels((0.0, 100)), reward=levels((0.2, 100), noise=0.1), lr=np.zeros(100)))
    assert found.severity is Severity.ERROR


def dead(share: float, n: int = 400, loss: np.ndarray | None = None):
    tail = int(share * n)
    lr = np.r_[np.linspace(1e-3, 1e-6, n - tail), np.zeros(tail)]
    flat = np.r_[falling(n - tail, noise=0), np.full(tail, 3.4)] + NOISE[:n]
    return run(loss=flat if loss is None else loss, lr=lr)


@pytest.mark.parametrize(("share", "severity"), [(0.5, Severity.WARNING), (0.07, Severity.INFO)])
def test_a_dead_tail(share, severity):
    (found,) = fires(check, dead(share))
    assert found.severity is severity
    assert found.first_step == pytest.approx(400 * (1 - share), abs=3)
    assert f"Stop at step {found.first_step}" in found.advice[0]


def test_a_tail_in_which_the_loss_falls_is_information():
    (found,) = fires(check, dead(0.5, loss=np.linspace(9, 3, 400)))
    assert found.severity is Severity.INFO


def rounded(rates: np.ndarray, decimals: int) -> Series:
    return Series(np.arange(1, len(rates) + 1), np.round(rates, decimals), decimals=decimals)


@pytest.mark.parametrize(("peak", "decimals"), [(8e-6, 6), (4e-8, 8), (3e-4, 4)])
def test_rates_printed_too_coarsely_are_not_judged(peak, decimals):
    made = run(loss=3 + NOISE, lr=rounded(cosine_lr(400, peak), decimals))
    (said,) = check.look(made)
    assert said == NotChecked("the learning rates are printed with too few decimals to tell a small one from 0")


def test_rates_printed_finely_enough_are():
    made = run(loss=3 + NOISE, lr=rounded(dead(0.5)["lr"].values, 6))
    (found,) = fires(check, made)
    assert found.severity is Severity.WARNING


def test_a_constant_rate_that_is_switched_off_needs_no_decimals():
    made = run(loss=3 + NOISE, lr=rounded(np.repeat([1e-3, 0.0], 200), 3))
    assert fires(check, made)[0].severity is Severity.WARNING


@pytest.mark.parametrize("n", [10, 100, 5000])
def test_silent_on_schedules_that_end_with_the_run(n):
    for lr in (cosine_lr(n), np.linspace(1e-3, 0, n), 1e-3 * 0.5 * (1 + np.cos(np.pi * np.arange(n) / n))):
        assert fires(check, run(loss=falling(n), lr=lr)) == []
    assert fires(check, healthy(max(n, 20))) == []


def test_one_record_far_above_its_neighbours_is_no_peak():
    rates = np.full(400, 1e-3)
    rates[200] = 1.0
    assert fires(check, run(loss=falling(400), lr=rates)) == []
    rates[300:] = 0.0
    assert fires(check, run(loss=falling(400), lr=rates))[0].message.startswith(
        "The learning rate is 0 from step 301 on"
    )


def test_a_rate_and_a_gradient_of_zero_confirm_each_other_in_four_records():
    (found,) = fires(check, run(loss=[10.9, 10.94, 10.87, 10.92], lr=np.zeros(4), grad_norm=np.zeros(4)))
    assert found.severity is Severity.WARNING
    assert (
        found.message == "The learning rate is zero in all 4 records, and so is the gradient norm: nothing is learned."
    )


@pytest.mark.parametrize(
    "made",
    [
        run(loss=[10.9, 10.94, 10.87, 10.92], lr=np.zeros(4), grad_norm=[0.0, 0.0, 0.0, 2.1]),
        run(loss=[10.9, 10.94, 10.87, 10.92], lr=[0.0, 0.0, 0.0, 1e-6], grad_norm=np.zeros(4)),  # warm-up
        run(loss=[3.1, 2.9, 2.7, 2.4], lr=np.zeros(4), grad_norm=np.zeros(4)),  # neither was computed
        run(loss=[10.9, 10.94, 10.87, 10.92], lr=np.zeros(4)),
    ],
)
def test_silent_where_one_of_few_records_or_the_loss_says_otherwise(made):
    assert fires(check, made) == []


def test_three_such_records_are_too_few():
    assert check.missing(run(loss=[10.9, 10.94, 10.87], lr=np.zeros(3), grad_norm=np.zeros(3)))
