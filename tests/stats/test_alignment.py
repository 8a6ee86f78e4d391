"""Steps that two metrics share."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lmdiag.stats.alignment import shared_steps

STEPS = st.lists(st.integers(0, 60), unique=True).map(lambda found: np.array(sorted(found), np.int64))


@given(STEPS, STEPS)
def test_the_indices_point_at_the_shared_steps(first, second):
    left, right = shared_steps(first, second)
    assert first[left].tolist() == second[right].tolist() == sorted(set(first.tolist()) & set(second.tolist()))


def test_equal_steps_are_all_shared():
    left, right = shared_steps(np.arange(5), np.arange(5))
    assert left.tolist() == right.tolist() == [0, 1, 2, 3, 4]


def test_a_step_that_stands_twice_has_no_row_beyond_the_end():
    left, right = shared_steps(np.array([1, 2, 2, 3]), np.array([2, 2, 3, 4]))
    assert (left.tolist(), right.tolist()) == ([1, 3], [0, 2])
