"""Numbers as programs write them: printed ones, and those in the cells of tables."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmdiag.readers.numbers import NUM, SUFFIXES, cell_number, number

WORDS = st.one_of(
    st.from_regex(NUM, fullmatch=True),
    st.floats().map(repr),
    st.integers().map("{:,}".format),
    st.text(alphabet="0123456789+-.,eE%_ naifNKM", max_size=8),
)


def same(a, b):
    return a == b or (a is not None and b is not None and math.isnan(a) and math.isnan(b))


@pytest.mark.parametrize(
    ("word", "value"),
    [
        *[("2.5", 2.5), (" 2 ", 2.0), ("1,234,567", 1234567.0), ("12.5%", 0.125), ("-inf", -math.inf), ("1e-5", 1e-5)],
        *[("1,23", None), ("1_000", None), ("2x", None), ("", None), ("0:00:10", None), ("1,234%", 12.34), ("%", None)],
    ],
)
def test_cells_that_hold_numbers(word, value):
    assert cell_number(word) == value


@pytest.mark.parametrize("word", ["nan", "NaN", "NAN", "-nan", "-nan(ind)", "1.#QNAN"])
def test_every_spelling_of_nan(word):
    assert math.isnan(cell_number(word))


@given(st.floats(allow_nan=False))
def test_what_python_writes_is_read_back(value):
    assert cell_number(repr(value)) == number(repr(value)) == value


@given(st.integers(0, 10**15))
def test_thousands_commas(value):
    assert cell_number(f"{value:,}") == number(f"{value:,}") == value


@given(st.from_regex(NUM, fullmatch=True))
def test_what_is_printed_is_python_s_number_without_commas(word):
    plain = re.sub(r"(?i)1\.#(?:ind|s?q?nan)0*", "nan", re.sub(r"(?i)1\.#inf0*", "inf", word))
    plain = re.sub(r"(?i)(nan|inf|infinity)(?:\.0|\(\w+\))", r"\1", plain)
    assert same(number(word), float(plain.replace(",", "")))


@given(st.from_regex(NUM, fullmatch=True), st.sampled_from([*SUFFIXES]))
def test_suffixes_multiply(word, suffix):
    assert same(number(word + suffix, suffixed=True), number(word) * SUFFIXES[suffix])


@pytest.mark.parametrize(("word", "value"), [("5.24M", 5.24e6), ("636K", 636e3), ("5.243B", 5.243e9), ("7", 7.0)])
def test_a_suffix_or_none(word, value):
    assert number(word, suffixed=True) == value


@pytest.mark.parametrize("word", ["", "x", "5M", "12%", "1 2"])
def test_other_words_are_refused(word):
    with pytest.raises(ValueError, match="convert"):
        number(word)


@given(WORDS)
def test_a_cell_holds_what_is_printed_without_doubt(word):
    """A cell says less than a print: `1,5` and `1_000` are no numbers in it; `5%` is one."""
    told = re.sub(r"%+$", "", word.strip())
    doubtful = "_" in word or ("," in word and not re.fullmatch(r"[-+]?\d{1,3}(,\d{3})+(\.\d*)?", told.strip()))
    if not word.strip().endswith("%"):
        try:
            printed = None if doubtful else number(word)
        except ValueError:
            printed = None
        assert same(cell_number(word), printed)
    else:
        share = cell_number(word.strip()[:-1])
        assert same(cell_number(word), None if share is None else share / 100)
