"""Training that falls under a standing evaluation is memorising."""

from dataclasses import replace

import numpy as np

from lmdiag.finding import Severity
from lmdiag.rules.generalization.flat_evaluation import check
from tests.rules.curves import fires, healthy, run, series


def made(training_end: float, evaluations, noise: float = 0.02):
    n = 100 * len(evaluations)
    training = np.geomspace(4, training_end, n) + np.random.default_rng(0).normal(0, noise, n)
    return run(loss=training, val__loss=series(evaluations, every=100, first=100))


FLAT = [4, 3.2, 2.8, 2.6, 2.6, 2.605, 2.6, 2.595, 2.6, 2.6]


def test_fires_where_the_evaluation_stopped():
    (found,) = fires(check, made(0.8, FLAT))
    assert found.first_step == 400
    assert found.evidence["training_fall"] > 0.5
    assert found.severity is Severity.WARNING  # 60% of the run


def test_under_half_of_the_run_is_information():
    (found,) = fires(
        check, made(0.8, [*np.linspace(3.2, 2.6, 12), 2.6, 2.595, 2.605, 2.6, 2.6, 2.605, 2.6, 2.6, 2.595])
    )
    assert (found.first_step, found.severity) == (1200, Severity.INFO)


def test_one_evaluation_a_little_off_does_not_hide_it():
    off = [*FLAT[:6], 2.59, 2.6, 2.615, 2.6, 2.61, 2.6]
    assert fires(check, made(0.8, off))[0].first_step == 400


def test_an_evaluation_that_never_moves_is_not_of_what_is_trained():
    (found,) = fires(check, made(0.8, [10.37492] * 10))
    assert (found.severity, found.first_step, found.metric) == (Severity.WARNING, 100, "val/loss")
    assert found.message.startswith("val/loss is 10.375 in all 10 evaluations, while the training loss fell by")
    (found,) = fires(check, made(0.8, 10.37492 + 1e-6 * np.arange(10)))
    assert "not what is trained" in found.message


def test_an_evaluation_that_moves_no_more_is_not_of_what_is_trained():
    (found,) = fires(check, made(0.8, [4.0, 3.5, 3.1, 2.9] + [2.83714] * 6))
    assert (found.severity, found.first_step) == (Severity.WARNING, 500)
    assert found.message.startswith("val/loss is 2.8371 in all 6 evaluations from step 500 on, while")
    assert "not what is trained" in found.message


def test_a_last_evaluation_that_is_a_little_high_does_not_hide_it():
    late = 1.176 + 0.001 * np.array([0, 1, 0, 2, 2, 2, 4, 1, 4, 0, -1, -2, -3, 1, -3, -1, -1, 2, 1, -1, 0, 1, 4.6, 4.4])
    (found,) = fires(check, made(0.8, [1.319, 1.229, *late]))
    assert (found.severity, found.first_step) == (Severity.WARNING, 300)


def test_one_result_carried_forward_is_no_evaluation_that_stands():
    training = np.geomspace(4, 0.8, 200) + np.random.default_rng(0).normal(0, 0.02, 200)
    assert fires(check, run(loss=training, val__loss=series(np.full(200, 3.9876), every=1, first=1))) == []


def test_silent_when_training_stands_too():
    training = np.r_[np.geomspace(4, 2.5, 300), np.full(700, 2.5)] + np.random.default_rng(0).normal(0, 0.02, 1000)
    assert fires(check, run(loss=training, val__loss=series(FLAT, every=100, first=100))) == []


def test_silent_while_the_evaluation_falls():
    assert fires(check, made(0.8, np.geomspace(4, 2, 10))) == []


def test_silent_on_healthy_runs():
    for seed in range(6):
        assert fires(check, healthy(500, seed)) == []


def test_evaluations_that_are_one_number_by_rounding_say_nothing():
    """Of a loss that settles, printed with two digits."""
    plain = made(0.8, [4.0, 3.2, 2.8, 2.6, 2.5, 2.46, 2.44, 2.43, *[2.42] * 6])
    assert "not what is trained" in fires(check, plain)[0].message
    rounded = replace(plain, series={**plain.series, "val/loss": replace(plain["val/loss"], decimals=2)})
    assert not [f for f in fires(check, rounded) if "not what is trained" in f.message]


def test_five_percent_of_a_fall_are_enough_beside_numbers_of_all_digits_only():
    plain = made(3.65, [2.42] * 8, noise=0.01)
    assert len(fires(check, plain)) == 1
    rounded = replace(plain, series={**plain.series, "val/loss": replace(plain["val/loss"], decimals=2)})
    assert fires(check, rounded) == []
