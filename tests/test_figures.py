"""Numbers are written as by hand: no padded exponents, no digits nobody asked for, and 100% means all."""

import math

import pytest

from lmdiag.figures import figure, percent


@pytest.mark.parametrize(
    ("value", "digits", "written"),
    [
        (252.4, 2, "250"),
        (39.4, 2, "39"),
        (999.96, 4, "1,000"),
        (-1234.5, 4, "-1,234"),
        (9_999_999, 4, "1e7"),
        (3.717e98, 4, "3.717e98"),
        (0.000133, 3, "0.000133"),
        (2e-5, 2, "2e-5"),
        (math.inf, 3, "inf"),
        (math.nan, 3, "nan"),
    ],
)
def test_figures(value, digits, written):
    assert figure(value, digits) == written


def test_all_and_none_are_not_rounded_to():
    assert [percent(share) for share in (0.0, 0.004, 0.5, 0.996, 1.0, 12.0)] == [
        "0%",
        "less than 1%",
        "50%",
        "more than 99%",
        "100%",
        "1,200%",
    ]
