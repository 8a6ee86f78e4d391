"""Repeats count by their digits: what a model that trains does again by chance is no standstill."""

import numpy as np
import pytest

from lmdiag.stats.repeats import same_answers_by_chance, same_by_chance, stands_still


@pytest.mark.parametrize(("decimals", "needed"), [(None, 4), (6, 5), (5, 13), (4, None)])
def test_more_digits_need_fewer_repeats(decimals, needed):
    rounding = 0.0 if decimals is None else 0.5 * 10.0**-decimals
    enough = [n for n in range(2, 60) if stands_still(np.full(n, 0.917285), same_by_chance(0.917285, rounding))]
    assert (enough[0] if enough else None) == needed


@pytest.mark.parametrize(("share", "needed"), [(83 / 431, 12), (1000 / 9973, 6), (0.65, None)])
def test_more_answers_need_fewer_repeats(share, needed):
    enough = [n for n in range(2, 60) if stands_still(np.full(n, share), same_answers_by_chance(share, 0.0))]
    assert (enough[0] if enough else None) == needed


@pytest.mark.parametrize("decimals", [3, 4, 5, 6, 12])
def test_evaluations_of_a_model_that_has_nearly_settled_do_not_stand_still(decimals):
    rng = np.random.default_rng(decimals)
    for n in rng.integers(3, 12, 400):
        level = float(rng.uniform(0.05, 5))
        values = np.round(level * (1 + rng.normal(0, 2e-5, n)), decimals)
        assert not stands_still(values, same_by_chance(level, 0.5 * 10.0**-decimals))


def test_answers_of_a_model_that_still_changes_do_not_stand_still():
    rng = np.random.default_rng(0)
    for answers in (50, 200, 1000, 5000):
        for _ in range(200):
            right = answers // 3 + np.r_[0, np.cumsum(rng.normal(0, np.sqrt(0.005 * answers), 14).astype(int))]
            assert not stands_still(right / answers, same_answers_by_chance(float(right[0]) / answers, 0.0))
