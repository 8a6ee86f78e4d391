"""Strict JSON holds every number, whatever library it comes from."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmdiag.strict_json import dumps, plain

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float64("nan"), "NaN"),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (-np.inf, "-Infinity"),
        (np.array([1.5]), 1.5),
        ({1}, "{1}"),
        ({1: ()}, {"1": []}),
    ],
)
def test_values_of_other_libraries(value, expected):
    assert plain(value) == expected
    assert type(plain(value)) is type(expected)


@given(ANYTHING)
def test_whatever_goes_in_strict_json_comes_out(value):
    def refuse(word):
        raise AssertionError(word)

    assert json.loads(dumps(value), parse_constant=refuse) == plain(value)
