"""Protobuf fields are walked exactly, and bytes that are no message are said to be none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmdiag.readers.tensorboard.wire import BadWire, fields, signed, varint
from tests.readers.event_writer import nested
from tests.readers.event_writer import varint as encoded


@given(st.integers(0, 2**64 - 1))
def test_varints_come_back(number):
    assert varint(encoded(number) + b"rest", 0) == (number, len(encoded(number)))


@given(st.integers(-(2**63), 2**63 - 1))
def test_signed_numbers_come_back(number):
    assert signed(varint(encoded(number), 0)[0]) == number


def test_fields_of_all_kinds():
    data = b"\x08\x96\x01" + b"\x11" + bytes(8) + nested(3, b"abc") + b"\x25" + bytes(4)
    assert list(fields(data)) == [(1, 0, 150, 0), (2, 1, 4, 12), (3, 2, 14, 17), (4, 5, 18, 22)]


@pytest.mark.parametrize("data", [b"\x08", b"\x08\xff", b"\x12\x05ab", b"\x11\x00", b"\x0b", b"\x08" + b"\xff" * 11])
def test_what_is_no_message(data):
    with pytest.raises(BadWire):
        list(fields(data))


@given(st.binary(max_size=60))
def test_any_bytes_end_or_are_refused(data):
    try:
        for _, _, a, b in fields(data):
            assert b <= len(data) or b == 0 <= a
    except BadWire:
        pass
