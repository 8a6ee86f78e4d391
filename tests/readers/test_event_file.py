"""Every form of a scalar is decoded, in groups and one by one alike."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmdiag.readers.tensorboard import event_file as module
from lmdiag.readers.tensorboard.event_file import read_event_file
from tests.readers.event_writer import (
    event,
    event_file,
    float_tensor,
    histogram,
    nested,
    record,
    simple,
    tensor,
    text,
    varint,
)


def scalars(data: bytes) -> list[tuple[str, int, float]]:
    file = read_event_file(data)
    tags = list(file.tags)
    return [(tags[t], s, v) for t, s, v in zip(file.tag_ids.tolist(), file.steps.tolist(), file.values.tolist())]


FORMS = {
    "simple_value": lambda v: simple("a", v),
    "tensor": lambda v: float_tensor("a", v),
    "tensor with its plugin named": lambda v: float_tensor("a", v, "scalars"),
    "float_val": lambda v: tensor("a", b"\x08\x01" + nested(2, b"") + nested(5, struct.pack("<f", v))),
    "float_val, not packed": lambda v: tensor("a", b"\x08\x01\x2d" + struct.pack("<f", v)),
    "double content": lambda v: tensor("a", b"\x08\x02" + nested(4, struct.pack("<d", v))),
    "double_val": lambda v: tensor("a", b"\x08\x02" + nested(6, struct.pack("<d", v))),
    "int32 content": lambda v: tensor("a", b"\x08\x03" + nested(4, struct.pack("<i", int(v)))),
    "int64_val": lambda v: tensor("a", b"\x08\x09" + nested(10, varint(int(v)))),
    "half content": lambda v: tensor("a", b"\x08\x13" + nested(4, np.float16(v).tobytes())),
    "half_val": lambda v: tensor(
        "a", b"\x08\x13" + nested(13, varint(int.from_bytes(np.float16(v).tobytes(), "little")))
    ),
    "bfloat16 content": lambda v: tensor("a", b"\x08\x0e" + nested(4, np.float32(v).tobytes()[2:])),
    "one element in a vector": lambda v: tensor(
        "a", b"\x08\x01" + nested(2, nested(2, b"\x08\x01")) + nested(4, struct.pack("<f", v))
    ),
}


@pytest.mark.parametrize("count", [1, 40])
@pytest.mark.parametrize("form", FORMS)
def test_forms_of_a_scalar(form, count):
    data = event_file(*(event(step, FORMS[form](float(step % 8))) for step in range(1, count + 1)))
    assert scalars(data) == [("a", step, float(step % 8)) for step in range(1, count + 1)]


def test_what_is_no_scalar():
    vector = tensor("a", b"\x08\x01" + nested(2, nested(2, b"\x08\x02")) + nested(4, bytes(8)))
    constant = tensor("a", b"\x08\x01" + nested(2, nested(2, b"\x08\x09")) + nested(5, bytes(4)))
    assert (
        scalars(event_file(event(1, vector), event(1, constant), event(2, histogram("h")), event(3, text("t", "hi"))))
        == []
    )


@pytest.mark.parametrize("steps", [[None] * 20, [0] * 20, [-1, -2, -(2**40)] * 9, [127, 128, 2**14, 2**35, 2**62] * 9])
def test_steps_of_every_width(steps):
    found = scalars(event_file(*(event(step, simple("a", 0.5)) for step in steps)))
    assert found == [("a", step or 0, 0.5) for step in steps]


def test_several_values_in_one_event_keep_their_order():
    events = [event(step, simple("a", 1), histogram("h"), simple("b", 2)) for step in range(20)]
    assert scalars(event_file(*events)) == [
        (tag, step, value) for step in range(20) for tag, value in (("a", 1), ("b", 2))
    ]


def test_tags_of_equal_length_interleaved():
    expected = [(tag, step, float(step)) for step in range(30) for tag in ("loss/a", "loss/b", "lr/ab/")]
    assert scalars(event_file(*(event(step, simple(tag, value)) for tag, step, value in expected))) == expected


def test_values_that_are_no_numbers_are_kept_to_the_bit():
    values = [float("nan"), float("inf"), float("-inf"), -0.0, 1e-45] * 4
    file = read_event_file(event_file(*(event(i, simple("a", v)) for i, v in enumerate(values))))
    assert file.values.astype("<f4").tobytes() == np.array(values, "<f4").tobytes()


def test_times_start_and_words():
    file = read_event_file(event_file(event(1, simple("a", 1), time=5.25), event(0, text("args", "{}"))))
    assert (file.started, file.times.tolist(), file.texts) == (900.0, [5.25], {"args/text_summary": "{}"})


def hyperparameter(name: str, value: bytes) -> bytes:
    return nested(1, nested(1, name.encode()) + nested(2, value))


def test_hyperparameters():
    session = hyperparameter("lr", b"\x11" + struct.pack("<d", 0.1)) + hyperparameter("opt", nested(3, b"sgd"))
    session += hyperparameter("tied", b"\x20\x01")
    plugin = nested(1, nested(1, b"hparams") + nested(2, nested(3, session)))
    value = nested(1, b"_hparams_/session_start_info") + nested(9, plugin)
    assert read_event_file(event_file(event(None, value))).settings == {"lr": 0.1, "opt": "sgd", "tied": True}


def test_sound_records_that_are_no_events_are_counted():
    file = read_event_file(event_file(record(b"\xff\xff"), event(1, simple("a", 1))))
    assert [(s.reason, s.count) for s in file.skipped] == [("record that is not an event", 1)]
    assert len(file.values) == 1


def test_many_records_are_decoded_in_parts(monkeypatch):
    monkeypatch.setattr(module, "_RECORDS_AT_ONCE", 16)
    assert [step for _, step, _ in scalars(event_file(*(event(s, simple("a", s)) for s in range(100))))] == list(
        range(100)
    )


tags = st.sampled_from(["a", "b", "loss", "a much longer tag/with parts"])
forms = st.sampled_from([simple, float_tensor, lambda t, v: float_tensor(t, v, "scalars")])
values = st.floats(width=32, allow_nan=False)


@settings(max_examples=60)
@given(st.lists(st.tuples(tags, forms, st.integers(-(2**63), 2**63 - 1), values), max_size=60))
def test_any_mixture_comes_back_in_order(rows):
    data = event_file(*(event(step, form(tag, value)) for tag, form, step, value in rows))
    assert scalars(data) == [(tag, step, value) for tag, _, step, value in rows]


WHOLE = event_file(
    *(event(s, simple("a", s), simple("b", -s)) for s in range(3)), *(event(s, simple("a", s)) for s in range(3, 20))
)


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), min_size=1, max_size=5))
def test_changed_bytes_never_raise_and_are_never_lost_silently(changes):
    damaged = bytearray(WHOLE)
    for place, byte in changes:
        damaged[place] = byte
    file = read_event_file(bytes(damaged))
    assert bytes(damaged) == WHOLE or file.skipped


@settings(max_examples=200)
@given(st.binary(max_size=120))
def test_sound_records_with_any_payload_never_raise(payload):
    read_event_file(record(payload) * 10)
