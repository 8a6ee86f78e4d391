"""Sustained rises are found with their onset; noise, descents, staircases and spikes are not rises."""

import numpy as np
import pytest

from lmdiag.stats.rebound import _climb, _lost_again, left_behind_together, sustained_rise
from tests.rules.curves import falling, lasting_noise


def risen(n: int, at: float, rise: float, noise: float = 0.05, seed: int = 0) -> np.ndarray:
    curve = falling(n, noise=noise, seed=seed)
    start = int(at * n)
    curve[start:] += rise * np.minimum(1, np.arange(n - start) / max(1, n // 50))
    return curve


@pytest.mark.parametrize("n", [40, 200, 1000, 30_000])
@pytest.mark.parametrize("rise", [1.0, 3.0])
def test_a_rise_is_found_near_its_onset(n, rise):
    found = sustained_rise(risen(n, 0.7, rise))
    assert found is not None
    assert abs(found.onset - 0.7 * n) <= 0.05 * n
    assert found.rise > 0.5 * rise


def test_hardly_any_falling_curve_rises():
    alarms = [
        (n, noise, seed)
        for n in (8, 15, 30, 100, 500, 3000)
        for noise in (0.0, 0.02, 0.1, 0.3)
        for seed in range(25)
        if sustained_rise(falling(n, noise=noise, seed=seed))
    ]
    assert len(alarms) <= 3, alarms


def test_noise_that_lasts_for_a_hundredth_of_a_flat_curve_hardly_ever_rises():
    alarms = [seed for seed in range(100) if sustained_rise(2 * np.exp(0.1 * lasting_noise(1000, 10, seed)))]
    assert len(alarms) <= 4, alarms


def test_a_rise_out_of_noise_that_lasts_is_found():
    curve = falling(1000, noise=0) * np.exp(0.05 * lasting_noise(1000, 10))
    curve[700:] *= 1.4
    found = sustained_rise(curve)
    assert found is not None
    assert abs(found.onset - 700) <= 20


def test_a_spike_that_comes_back_is_no_rise():
    curve = falling(400, noise=0.03)
    curve[350:354] += 5
    assert sustained_rise(curve) is None


def test_steps_down_at_epochs_with_a_slow_rise_inside_are_no_rise():
    curve = np.concatenate([np.linspace(1.2, 1.25, 100), np.linspace(0.8, 0.85, 100), np.linspace(0.4, 0.45, 100)])
    assert sustained_rise(curve + np.random.default_rng(0).normal(0, 0.03, 300)) is None


def test_a_run_that_ends_above_its_start_is_found_in_eight_records():
    found = sustained_rise(np.array([4.4, 4.9, 6.0, 7.2, 7.8, 8.0, 8.1, 8.0]))
    assert found is not None
    assert found.onset <= 2


def test_the_last_three_records_far_above_all_before_are_found():
    curve = falling(60, noise=0.01)
    curve[-3:] += 2.0
    found = sustained_rise(curve)
    assert found is not None
    assert found.onset >= 56


def test_one_high_last_record_is_not():
    curve = falling(60, noise=0.01)
    curve[-1] += 2.0
    assert sustained_rise(curve) is None


@pytest.mark.parametrize("values", [[], [1.0], [3.0, 2.0], [5.0] * 40])
def test_short_and_constant_curves_do_not_rise(values):
    assert sustained_rise(np.array(values)) is None


@pytest.mark.parametrize("n", [20, 50, 200])
@pytest.mark.parametrize("noise", [0.1, 0.3])
def test_noise_alone_hardly_ever_rises(n, noise):
    rose = [sustained_rise(2.3 * np.exp(np.random.default_rng(seed).normal(0, noise, n))) for seed in range(100)]
    assert sum(found is not None for found in rose) <= 4


def test_two_curves_left_behind_at_one_place_rise_together():
    at = np.arange(0, 300, 25)
    level = np.r_[9.2, 4.9, 4.0, np.linspace(5.0, 4.4, 9)]
    steps = np.arange(300)
    losses = level[np.minimum(np.searchsorted(at, steps), 11)]
    found = left_behind_together(steps, losses, at, level + 0.1)
    assert found is not None
    assert 50 <= found.onset <= 75
    assert left_behind_together(steps, np.linspace(9, 4, 300), at, level) is None  # overfitting
    assert left_behind_together(steps, losses, at, np.linspace(9, 4, 12)) is None  # an easy batch


def test_an_evaluation_before_the_first_record_stands_beside_it():
    steps, at = np.arange(1, 101), np.arange(0, 101, 20)
    losses = np.r_[4.7, np.linspace(30, 9, 99)]
    found = left_behind_together(steps, losses, at, np.array([4.7, 26.0, 16.0, 13.0, 11.0, 9.5]))
    assert found is not None
    assert found.low == pytest.approx(4.7)


@pytest.mark.parametrize(("after", "seen"), [(2.86, True), (2.70, False)])
def test_evaluations_left_behind_need_no_more_than_the_luck_of_the_training_loss(after, seen):
    steps, at = np.arange(200), np.arange(25, 201, 25) - 1
    losses = np.r_[np.linspace(4.8, 2.78, 60), np.full(40, 2.75), np.full(100, 2.92)]
    losses += np.random.default_rng(1).normal(0, 0.05, 200)
    evaluations = np.r_[3.1, 2.78, 2.77, 2.66, np.full(4, after)]
    assert (left_behind_together(steps, losses, at, evaluations) is not None) == seen


CLIMB = [1.45, 1.41, 1.42, 1.43, 1.46, 1.44, 1.47, 1.50, 1.51, 1.57, 1.56, 1.61]


def test_a_slow_climb_from_the_first_records_to_the_last_is_a_rise():
    found = sustained_rise(np.array(CLIMB))
    assert found is not None
    assert (found.low, found.high) == (1.42, 1.565)


@pytest.mark.parametrize(
    "values",
    [CLIMB[:11], np.linspace(1.40, 1.46, 12), CLIMB[:3] + CLIMB[9:] + CLIMB[3:9]],
    ids=["too few", "too little", "no order"],
)
def test_what_is_no_climb(values):
    assert sustained_rise(np.array(values)) is None


def test_a_climb_is_seldom_seen_in_flat_noise():
    rng = np.random.default_rng(3)
    assert sum(_climb(3 * np.exp(rng.normal(0, 0.1, 12))) is not None for _ in range(5000)) <= 3


def test_five_records_that_all_rise_to_far_above_the_first():
    assert sustained_rise(np.array([0.6, 0.9, 1.5, 1.9, 2.5])) is not None
    assert sustained_rise(np.array([0.6, 1.5, 0.9, 1.9, 2.5])) is None
    assert sustained_rise(np.array([0.6, 0.7, 0.8, 0.9, 1.0])) is None


@pytest.mark.parametrize(("first", "found"), [(9.3, True), (22.0, False)])
def test_all_far_above_the_first_record_is_a_rise_however_it_swings(first, found):
    later = np.exp(np.random.default_rng(0).uniform(np.log(20), np.log(90), 50))
    rise = sustained_rise(np.r_[first, later])
    assert (rise is not None) is found
    if rise:
        assert (rise.low, rise.onset, rise.single) == (first, 1, True)


GIVEN_BACK = [1.92, 1.83, 1.79, 1.75, 1.77, 1.80, 1.84, 1.88, 1.92]


def test_a_short_curve_that_gives_back_what_it_had_gained():
    found = sustained_rise(np.array(GIVEN_BACK))
    assert found is not None
    assert (found.low, found.low_at, found.onset) == (1.75, 3, 4)


@pytest.mark.parametrize(
    "values",
    [
        [*GIVEN_BACK[:7], 1.83, 1.92],
        GIVEN_BACK[:6],
        [2.9, *GIVEN_BACK[1:]],
        [1.92, 1.71, 1.83, 1.75, 1.77, 1.80, 1.84, 1.88, 1.92],
    ],
    ids=["not in a row", "too little", "most is kept", "as noisy as it rises"],
)
def test_what_is_not_given_back(values):
    assert _lost_again(np.array(values)) is None


def test_little_is_given_back_by_chance():
    rng = np.random.default_rng(5)
    told = [_lost_again((2 + np.exp(-np.arange(9))) * np.exp(rng.normal(0, 0.05, 9))) for _ in range(5000)]
    assert sum(found is not None for found in told) <= 5


@pytest.mark.parametrize("n", [20, 60])
@pytest.mark.parametrize(("first", "start", "floor"), [(0.07, 7.0, 2.5), (7.1, 150.0, 60.0), (0.4, 1.4, 0.8)])
def test_a_run_that_learns_behind_a_low_first_record_has_not_risen(n, first, start, floor):
    later = floor + (start - floor) * np.exp(-np.arange(n - 1) / 8)
    for seed in range(5):
        noise = np.random.default_rng(seed).normal(0, 0.03, n - 1)
        assert sustained_rise(np.r_[first, later * np.exp(noise)]) is None


def test_a_low_first_record_of_a_model_that_knows_its_text_is_no_start():
    later = 1.9 * np.exp(np.random.default_rng(0).normal(0, 0.05, 30))
    assert sustained_rise(np.r_[0.02, later]) is None
    assert sustained_rise(np.r_[2.0, 4 * later]) is not None


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([2.1, 1.7, 3.9, 4.4, 4.2], True),
        ([2.1, 1.9, 1.8, 3.6, 3.9], True),
        ([2.1, 1.9, 1.8, 2.9, 3.9], False),
        ([1.2, 1.4, 1.7, 1.9, 2.3], True),
        ([1.2, 1.4, 1.7, 1.6, 2.3], False),
        ([1.2, 1.7, 2.4, 3.2], True),
        ([1.2, 1.5, 1.9, 2.4], False),
        ([2.1, 1.7, 5.4, 5.9], True),
        ([2.1, 1.7, 3.9, 4.4], False),
        ([0.21, 0.17, 0.39, 0.44, 0.42], False),
        ([1.2, 1.9, 9.0], False),
    ],
)
def test_four_or_five_records_that_rise_far(values, found):
    assert (sustained_rise(np.array(values)) is not None) is found


def test_a_scatter_of_few_records_is_no_sure_measure_of_the_last_two():
    """A scatter of six to eight records that is small by chance made one log in thirty rise above its start."""
    rng = np.random.default_rng(3)
    drawn = [1.2 * np.exp(rng.normal(0, 0.3, n)) for n in (6, 8) for _ in range(400)]
    assert sum(sustained_rise(values) is not None for values in drawn) <= 24


def test_eleven_noisy_records_of_which_all_but_the_first_lie_far_above_it():
    assert sustained_rise(np.array([4.4, 5.9, 6.1, 9.1, 8.1, 7.2, 8.8, 8.6, 9.0, 8.4, 9.2])) is not None
