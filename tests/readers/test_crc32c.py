"""The checksum of many records at once equals the bit-by-bit definition for each of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmdiag.readers.tensorboard import crc32c as module
from tests.readers.event_writer import crc32c as definition


def crc(data: bytes, starts: list[int], lengths: list[int]) -> list[int]:
    return module.crc32c(np.frombuffer(data, np.uint8), np.array(starts, int), np.array(lengths, int)).tolist()


@pytest.mark.parametrize(
    ("data", "expected"),
    [(b"123456789", 0xE3069283), (bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43), (bytes(range(32)), 0x46DD794E)],
)
def test_vectors_of_rfc_3720(data, expected):
    assert crc(data, [0], [len(data)]) == [expected]


@given(st.binary(min_size=1, max_size=700), st.data())
def test_any_records_of_any_bytes(data, draw):
    spans = draw.draw(st.lists(st.tuples(st.integers(0, len(data)), st.integers(0, len(data))), min_size=1, max_size=8))
    spans = [(min(a, b), max(a, b)) for a, b in spans]
    assert crc(data, [a for a, _ in spans], [b - a for a, b in spans]) == [definition(data[a:b]) for a, b in spans]


def test_a_record_longer_than_a_block():
    data = np.random.default_rng(0).integers(0, 256, 20_001, dtype=np.uint8).tobytes()
    assert crc(data, [0, 1], [20_001, 129]) == [definition(data), definition(data[1:130])]


def test_no_records():
    assert crc(b"x", [], []) == []


def test_records_longer_than_what_is_worked_on_at_once(monkeypatch):
    monkeypatch.setattr(module, "_BYTES_AT_ONCE", 256)
    data = bytes(range(256)) * 8
    assert crc(data, [0, 7], [2000, 1500]) == [definition(data[:2000]), definition(data[7:1507])]
