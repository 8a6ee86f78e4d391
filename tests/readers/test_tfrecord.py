"""Records are found, damage is noticed wherever it is, and reading goes on behind it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmdiag.readers.tensorboard.tfrecord import frame, is_record
from tests.readers.event_writer import record

PAYLOADS = [b"first", b"", b"a third record", b"x" * 300, b"last"]
FILE = b"".join(record(payload) for payload in PAYLOADS)


def payloads(data: bytes) -> list[bytes]:
    framed = frame(data)
    return [data[a : a + n] for a, n in zip(framed.starts.tolist(), framed.lengths.tolist())]


def test_all_records_in_order():
    assert payloads(FILE) == PAYLOADS
    assert frame(FILE).skipped == ()


@pytest.mark.parametrize("missing", range(1, len(record(b"last"))))
def test_a_torn_last_record_is_said(missing):
    assert payloads(FILE[:-missing]) == PAYLOADS[:-1]
    (skip,) = frame(FILE[:-missing]).skipped
    assert "cut off" in skip.reason


@pytest.mark.parametrize("odd", [{}, {1500: b"an evaluation"}, {1500: b"", 4000: b"x" * 300}, {1029: b"x", 1030: b"y"}])
def test_records_that_come_in_rounds_are_all_found(odd):
    rounds = [odd.get(n, b"x" * (30 + n % 4)) for n in range(5000)]
    data = b"".join(map(record, rounds))
    assert payloads(data) == rounds
    assert payloads(data[:-1]) == rounds[:-1]
    damaged = bytearray(data)
    damaged[len(data) // 2] ^= 1
    assert len(payloads(bytes(damaged))) == 4999


@given(st.integers(0, len(FILE) - 1), st.integers(1, 255))
def test_one_changed_byte_costs_one_record_and_is_said(place, change):
    damaged = bytearray(FILE)
    damaged[place] ^= change
    found = payloads(bytes(damaged))
    assert len(found) == len(PAYLOADS) - 1
    assert [p for p in PAYLOADS if p in found] == found
    assert frame(bytes(damaged)).skipped


@given(st.integers(0, len(FILE)), st.binary(min_size=1, max_size=40))
def test_inserted_bytes_are_said(place, extra):
    found = payloads(FILE[:place] + extra + FILE[place:])
    assert set(PAYLOADS) >= set(found)
    assert len(found) >= len(PAYLOADS) - 1
    assert frame(FILE[:place] + extra + FILE[place:]).skipped


@given(st.binary(max_size=200))
def test_any_bytes(data):
    framed = frame(data)
    assert len(framed.starts) == 0 or framed.starts[-1] + framed.lengths[-1] <= len(data)
    assert bool(framed.skipped) == bool(data) or payloads(data)


def test_more_records_than_are_followed_at_once(monkeypatch):
    monkeypatch.setattr("lmdiag.readers.tensorboard.tfrecord._RECORDS_AT_ONCE", 2)
    assert payloads(FILE) == PAYLOADS
    assert payloads(FILE[:-3]) == PAYLOADS[:-1]


def test_damage_longer_than_is_searched_at_once(monkeypatch):
    monkeypatch.setattr("lmdiag.readers.tensorboard.tfrecord._SEARCH_BYTES", 16)
    assert payloads(FILE + b"\xee" * 100 + FILE) == PAYLOADS * 2


def test_the_first_bytes_tell():
    assert is_record(FILE)
    assert not is_record(b"\x18" + FILE)
    assert not is_record(b"")
