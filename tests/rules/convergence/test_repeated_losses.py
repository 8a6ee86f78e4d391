"""Losses that come again digit for digit are found; other batches, and stretches that come again once, are not."""

from dataclasses import replace

import numpy as np
import pytest

from lmdiag.finding import NotChecked, Severity
from lmdiag.rules.convergence.repeated_losses import check
from lmdiag.run import Segment, Series
from tests.rules.curves import falling, fires, healthy, run, series

ONCE = np.round(1 + np.random.default_rng(0).uniform(0, 0.4, 8), 4)


def test_losses_that_come_again_to_the_last_digit():
    (found,) = fires(check, run(loss=np.r_[ONCE, ONCE[:6]]))
    assert "begins again at step 9" in found.message
    assert found.evidence == {"after_records": 8, "repeated": 6}


def test_silent_where_one_digit_differs():
    assert fires(check, run(loss=np.r_[ONCE, ONCE[:5], ONCE[5] + 0.0001])) == []


def test_silent_where_it_goes_on_otherwise():
    assert fires(check, run(loss=np.r_[ONCE, ONCE, 0.9, 0.8])) == []


def test_silent_on_a_constant_loss():
    assert fires(check, run(loss=np.full(40, 2.5))) == []


def test_silent_where_too_little_of_the_log_comes_again():
    once = np.random.default_rng(1).uniform(1, 2, 100)
    assert fires(check, run(loss=np.r_[once, once[:20]])) == []
    assert len(fires(check, run(loss=np.r_[once, once[:20]]), share=0.1)) == 1


def test_silent_on_healthy_runs():
    assert fires(check, healthy(100)) == []


def test_a_long_log_is_not_searched():
    assert [type(said) for said in check.look(run(loss=np.linspace(9, 8, 1001)))] == [NotChecked]


def test_a_loss_that_never_moves():
    (found,) = fires(check, run(loss=np.full(4, 4.873)))
    assert "4.873 in all 4 records" in found.message
    assert fires(check, run(loss=np.full(10, 4.87)))[0].evidence == {"value": 4.87, "records": 10}


def test_three_records_of_many_digits_never_move_either():
    (found,) = fires(check, run(loss=np.full(3, 23.0258509)))
    assert found.evidence == {"value": 23.0258509, "records": 3}
    assert fires(check, run(loss=np.full(3, 4.8731))) == []
    assert (
        fires(check, replace(run(loss=np.full(3, 23.0258509)), step_kind="record")) == []
    )  # one record that is printed again


@pytest.mark.parametrize("made", [[4.87] * 4, [4.873] * 3 + [4.872], [0.03217] * 4, [0.0] * 40])
def test_silent_where_few_digits_or_records_say_nothing(made):
    assert fires(check, run(loss=np.array(made))) == []


def test_silent_where_an_evaluation_moves():
    assert fires(check, run(loss=np.full(6, 4.873), val__loss=series([4.0, 3.5, 3.1]))) == []


def test_losses_that_fall_both_times_are_of_a_second_start():
    once = np.round(np.linspace(10, 6, 40) + np.random.default_rng(0).normal(0, 0.05, 40), 4)
    (found,) = fires(check, run(loss=np.r_[once, once[:30]]))
    assert found.severity is Severity.INFO
    assert found.message.endswith("and they fall: the run was started again with the same seed.")
    mixed = np.random.default_rng(1).permutation(once)
    (found,) = fires(check, run(loss=np.r_[mixed, mixed[:30]]))
    assert found.severity is Severity.WARNING
    assert found.message.endswith("the weights do not change.")


@pytest.mark.parametrize(
    ("once", "severity"),
    [
        ([9.1, 8.2, 7.7, 7.1, 6.9, 6.4], Severity.INFO),
        ([9.1, 8.2, 7.7, 7.1, 7.4, 6.4], Severity.WARNING),
        ([9.1, 8.2, 7.7, 7.1, 7.4, 6.4, 6.2], Severity.INFO),
        ([9.1, 8.2, 8.7, 7.1, 7.4, 6.4, 6.2], Severity.WARNING),
    ],
)
def test_a_second_start_of_a_handful_of_records(once, severity):
    (found,) = fires(check, run(loss=np.r_[once, once]))
    assert found.severity is severity


LONG = np.round(falling(300), 4)


@pytest.mark.parametrize(("first", "row", "count"), [(100, 200, 100), (100, 200, 25), (5, 60, 40)])
def test_a_stretch_that_stood_in_the_log_before(first, row, count):
    losses = LONG.copy()
    losses[row : row + count] = losses[first : first + count]
    (found,) = fires(check, run(loss=losses))
    assert found.severity is None
    assert (found.first_step, found.last_step) == (row + 1, row + count)
    assert found.evidence == {"copied_from": first + 1, "repeated": count}
    restarted = replace(run(loss=losses), segments=(Segment(1, row, 0), Segment(row + 1, 300, row)))
    assert fires(check, restarted) == []
    assert fires(check, replace(run(loss=losses), step_kind="record")) == []


def test_losses_of_few_digits_and_of_batches_in_one_order_are_no_stretch():
    coarse = 0.1 + np.random.default_rng(0).integers(0, 8, 900) / 100
    batches = 0.5 + np.random.default_rng(1).uniform(0, 0.3, 30)
    ever_slower = np.round(np.tile(batches, 30) + np.repeat(0.5 ** np.arange(30), 30), 4)
    for losses in (coarse, ever_slower, LONG, np.repeat(LONG, 2)):
        assert fires(check, run(loss=losses)) == []


def test_losses_that_go_round_behind_first_ones_that_differ():
    loss = np.r_[ONCE + 0.0003, ONCE[2:], np.tile(ONCE, 3)]
    (found,) = fires(check, run(loss=loss))
    assert found.message == (
        "The loss goes round: its 22 values from step 17 to the end are, digit for digit, those 8 records before: the weights do not change."
    )
    assert fires(check, run(loss=np.r_[loss, 0.9])) == []


@pytest.mark.parametrize(("rounds", "severity"), [(3, Severity.WARNING), (8, Severity.ERROR)])
def test_many_records_in_vain_are_an_error(rounds, severity):
    assert fires(check, run(loss=np.tile(ONCE, rounds)))[0].severity is severity


def test_a_last_digit_may_differ_as_of_sums_in_another_order():
    loss = np.tile(ONCE, 5) + 1e-6 * np.random.default_rng(2).integers(-1, 2, 40)
    (found,) = fires(check, run(loss=loss))
    assert ", to 2e-6, those 8 records before" in found.message
    assert fires(check, run(loss=loss + 1e-3 * np.arange(40))) == []


def test_an_evaluation_that_never_moves():
    made = run(loss=[0.9713, 0.9684, 0.9692, 0.966, 0.9687], val__loss=np.full(5, 0.91728465017294))
    (found,) = fires(check, made)
    assert found.message.startswith("val/loss is 0.917285 in all 5 evaluations, to the last digit")


def test_losses_that_begin_again_say_more_than_an_evaluation_that_never_moves():
    made = run(loss=np.tile(ONCE, 3), val__loss=np.full(5, 0.91728465017294))
    assert "begins again at step 9" in fires(check, made)[0].message


@pytest.mark.parametrize(
    ("loss", "evaluations", "decimals"),
    [
        ([0.9713, 0.9684, 0.9692, 0.966, 0.9687], np.full(3, 0.91728465017294), None),  # too few
        ([0.9713, 0.9684, 0.9692, 0.966, 0.9687], np.full(5, 0.9173), 4),  # rounded: it may move
        ([0.9713, 0.9684, 0.9692, 0.966, 0.9687], np.r_[np.full(4, 0.91728465017294), 0.91728465017293], None),
        (
            [0.9544, 0.8511, 0.7512, 0.6487, 0.5511],
            np.full(5, 0.91728465017294),
            None,
        ),  # trains: an old value is logged
        (np.linspace(2.5, 3.5, 6), np.full(6, 2.4837462538), None),  # the weights move: it rises
        ([0.9713, 0.9684, 0.9692, 0.966, 0.9687], np.zeros(5), None),
    ],
)
def test_silent_where_an_evaluation_may_move(loss, evaluations, decimals):
    grid = np.arange(1, len(evaluations) + 1)
    made = run(loss=loss, val__loss=Series(grid, evaluations, decimals=decimals))
    assert fires(check, made) == []


@pytest.mark.parametrize("name", ["baseline", "reference", "teacher"])
def test_the_loss_of_what_is_not_trained_never_moves(name):
    losses = 2.4 + 0.02 * np.random.default_rng(0).normal(size=20)
    assert fires(check, run(loss=losses, **{f"{name}__loss": np.full(20, 2.8137462)})) == []
    assert len(fires(check, run(loss=losses, c4__loss=np.full(20, 2.8137462)))) == 1
