"""Every kind of damaged line: the value is right, or its loss is counted; the same by either way of decoding."""

import json
import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmdiag.judging.reading import runs_of
from lmdiag.readers.json import damaged
from lmdiag.readers.json.decode import Lost, decode
from lmdiag.sources.source import Source

NAN = float("nan")
A, C = '{"step": 1, "loss": 3.5, "lr": 0.1, "kind": "a"}', '{"step": 3, "loss": 1.5, "lr": 0.3, "kind": "c"}'
# what stands in the second of three lines; the loss at step 2 (None: not measured); lines or cells counted as lost
CASES = {
    "as usual": ('{"step": 2, "loss": 2.5}', 2.5, 0),
    "bare NaN": ('{"step": 2, "loss": NaN}', NAN, 0),
    "bare Infinity": ('{"step": 2, "loss": Infinity}', math.inf, 0),
    "bare -Infinity": ('{"step": 2, "loss": -Infinity}', -math.inf, 0),
    "bare nan": ('{"step": 2, "loss": nan}', NAN, 0),
    "bare -inf": ('{"step": 2, "loss": -inf}', -math.inf, 0),
    "too large": ('{"step": 2, "loss": 1e999}', math.inf, 0),
    "nan in quotes": ('{"step": 2, "loss": "nan"}', NAN, 0),
    "N/A": ('{"step": 2, "loss": "N/A"}', None, 0),
    "null": ('{"step": 2, "loss": null}', None, 0),
    "a word": ('{"step": 2, "loss": "soon"}', None, 1),
    "a number in quotes": ('{"step": 2, "loss": "2.4"}', 2.4, 0),
    "true": ('{"step": 2, "loss": true}', 1.0, 0),
    "a list of one": ('{"step": 2, "loss": [2.4]}', 2.4, 0),
    "a list": ('{"step": 2, "loss": [2.4, 2.6]}', None, 1),
    "an object": ('{"step": 2, "loss": 2.5, "optim": {"beta": 1}}', 2.5, 0),
    "a float step": ('{"step": 2.0, "loss": 2.5}', 2.5, 0),
    "an integer loss": ('{"step": 2, "loss": 2}', 2.0, 0),
    "a huge integer": ('{"step": 2, "loss": 2.5, "lr": 9223372036854775809}', 2.5, 0),
    "an integer beyond float": ('{"step": 2, "loss": 1' + "0" * 400 + "}", math.inf, 0),
    "cut": ('{"step": 2, "lo', None, 1),
    "cut in a value": ('{"step": 2, "loss": 2', None, 1),
    "text": ("Epoch 2 done", None, 1),
    "a run of NUL": ("\0" * 64, None, 1),
    "NUL before a record": ("\0" * 64 + '{"step": 2, "loss": 2.5}', 2.5, 0),
    "glued": ('{"step": 2, "loss": 2.5}{"step": 2, "lr": 0.2}', 2.5, 0),
    "torn and glued": ('{"step": 9, "lo{"step": 2, "loss": 2.5}', 2.5, 1),
    "text and a record": ('INFO {"step": 2, "loss": 2.5}', 2.5, 1),
    "blank": ("", None, 0),
    "spaces": ("   \t", None, 0),
    "carriage return": ('{"step": 2, "loss": 2.5}\r', 2.5, 0),
    "not UTF-8": (b'{"step": 2, "loss": 2.5, "note": "\xff\xfe\x80"}', 2.5, 0),
    "lone surrogate": ('{"step": 2, "loss": 2.5, "note": "\\ud800"}', 2.5, 0),
    "a doubled key": ('{"step": 2, "loss": 9, "loss": 2.5}', 2.5, 1),
    "a late key": ('{"step": 2, "loss": 2.5, "grad_norm": 1}', 2.5, 0),
    "a bare list": ("[1, 2]", None, 1),
    "a bare number": ("42", None, 1),
    "a trailing comma": ('{"step": 2, "loss": 2.5,}', 2.5, 0),
    "a colon in a string": ('{"step": 2, "loss": 2.5, "note": "\\"a\\": 1"}', 2.5, 0),
    "deeply nested": ('{"step": 2, "loss": 2.5, "x": ' + "[" * 100000, None, 1),
    "an unquoted key": ("{step: 2, loss: 2.5}", None, 1),
    "half an exponent": ('{"step": 2, "loss": 2.5e}', None, 1),
}


def read(*lines):
    content = b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines) + b"\n"
    (run,) = runs_of(Source("a.jsonl", content=content))
    return run


@pytest.mark.parametrize(("line", "value", "lost"), CASES.values(), ids=CASES)
def test_a_damaged_line_costs_no_more_than_itself(line, value, lost):
    run = read(A, line, C)
    found = dict(zip(run["loss"].steps.tolist(), run["loss"].values.tolist(), strict=True))
    assert (found.pop(1), found.pop(3)) == (3.5, 1.5)
    assert found == ({} if value is None else {2: pytest.approx(value, nan_ok=True)})
    assert sum(s.count for s in run.skipped) == lost


def test_what_is_lost_is_said_with_its_line():
    run = read(A, "Epoch 2 done", C, '{"step": 4, "loss": "soon"}')
    assert [(s.line, s.reason) for s in run.skipped] == [
        (2, "not a record of JSON"),
        (4, "not a number in \"loss\": 'soon'"),
    ]


def test_a_byte_order_mark_does_not_cost_the_first_record():
    content = b"\xef\xbb\xbf" + "\r\n".join([A, C]).encode()
    (run,) = runs_of(Source("a.jsonl", content=content))
    assert run["loss"].steps.tolist() == [1, 3]


@given(st.dictionaries(st.text(), st.floats() | st.integers() | st.text() | st.none(), max_size=5))
def test_any_record_is_decoded(record):
    line = json.dumps(record)
    found = decode(line)
    found = found if isinstance(found, dict) else next(f for f in found if isinstance(f, dict))
    assert repr(found) == repr(record)


@given(st.text(), st.integers(0, 60))
def test_a_cut_line_is_never_an_error(text, cut):
    for piece in decode('{"step": 2, "loss": 2.5, "note": "a"}'[:cut] + text) or []:
        assert isinstance(piece, (dict, Lost, str))


@pytest.mark.parametrize("line", ['{"' * 50_000, '{"a":' * 50_000, '{"a":' * 900 + "1" + "}" * 900, "[" * 50_000])
def test_hostile_nesting_costs_its_line_and_little_time(line):
    content = '{"step": 1, "loss": 2.5}\n' + line + '\n{"step": 2, "loss": 2.25}\n'
    started = time.process_time()
    (run,) = runs_of(Source("a.jsonl", content=content.encode()))
    assert run["loss"].values.tolist() == [2.5, 2.25]
    assert run.skipped
    assert time.process_time() - started < 5


def test_many_doubled_keys_take_little_time():
    line = "{" + ", ".join(f'"k{n % 30_000}": {n}' for n in range(60_000)) + ', "loss": 2.5, "step": 1}\n'
    started = time.process_time()
    assert len(decode(line)) == 30_001
    assert time.process_time() - started < 5


def test_a_long_torn_line_is_looked_at_a_few_times_only(monkeypatch):
    looked = []

    class Counting(json.JSONDecoder):
        def raw_decode(self, text, at=0):
            looked.append(len(text) - at)
            return super().raw_decode(text, at)

    monkeypatch.setattr(damaged, "_decoder", Counting())
    monkeypatch.setattr(damaged, "MOST_LOOKED_AT", 1000)
    line = '{"a":' * 199 + "[" + "1," * 50_000
    assert decode(line) == [Lost("a torn record")]
    assert sum(looked) < 6 * len(line)


def test_a_record_with_a_name_twice_is_read():
    run = read(*(f'{{"step": {k}, "loss": 99.0, "lr": 0.1, "loss": {5 - k / 10}}}' for k in range(9)))
    assert run["loss"].values.tolist() == [5 - k / 10 for k in range(9)]
    assert run.records == (9, 0)
    assert {(s.reason, s.unit) for s in run.skipped} == {
        ('"loss" stands twice in the record; the later value counts', "value")
    }


def test_records_with_a_number_of_thousands_of_digits_are_no_damaged_document():
    run = read(*(f'{{"step": {k}, "loss": {5 - k / 10}, "seed": {"7" * 5000}}}' for k in range(40)))
    assert run["loss"].values.tolist() == [5 - k / 10 for k in range(40)]
    assert not run.skipped


def lines(records):
    return [json.dumps(record) for record in records]


@pytest.mark.parametrize("name", ["name", "metric", "tag", "key", "variable"])
def test_one_value_in_each_record(name):
    values = [(s, what, v) for s in range(1, 9) for what, v in (("loss", 5 - s / 10), ("lr", 1e-4))]
    run = read(*lines({"step": s, name: what, "value": v} for s, what, v in values))
    assert run["loss"].values.tolist() == [5 - s / 10 for s in range(1, 9)]
    assert set(run.series) == {"loss", "lr"}


def test_null_among_single_values_is_a_record_without_a_loss():
    values = [
        (s, what, v) for s in range(1, 41) for what, v in (("loss", 5 - s / 10 if s < 20 else None), ("lr", 1e-4))
    ]
    run = read(*lines({"step": s, "tag": what, "value": v} for s, what, v in values))
    assert (len(run["loss"]), len(run["lr"])) == (19, 40)


def test_a_plan_and_its_share_are_no_metrics_and_clocks_are_seconds():
    run = read(
        *lines(
            {
                "current_steps": 5 * k,
                "total_steps": 60,
                "loss": 5 - k / 10,
                "percentage": 8.33 * k,
                "elapsed_time": f"1 day, 0:{k:02d}:12",
                "remaining_time": "0:01:30",
            }
            for k in range(1, 9)
        )
    )
    assert set(run.series) == {"loss", "elapsed_s", "remaining_time"}
    assert run["elapsed_s"].values[:2].tolist() == [86472, 86532]
    assert run.config["max_steps"] == 60
    assert {c.name: c.use for c in run.account.columns if c.name in ("total_steps", "percentage")} == {
        "total_steps": "setting",
        "percentage": "not used",
    }


@pytest.mark.parametrize("name", ["data", "metrics", "log", "logs"])
def test_the_object_that_holds_the_metrics_gives_no_name(name):
    run = read(*lines({"step": s, name: {"loss": 5 - s / 10, "lr": 1e-4}} for s in range(1, 9)))
    assert set(run.series) == {"loss", "lr"}


def test_null_in_the_file_of_verl_was_no_finite_number():
    run = read(*lines({"step": s, "data": {"actor/grad_norm": None if s == 7 else 1.0}} for s in range(1, 21)))
    assert np.flatnonzero(np.isnan(run["grad_norm"].values)).tolist() == [6]


def test_an_object_of_metrics_does_not_take_the_place_of_a_name():
    run = read(*lines({"step": s, "loss": 5 - s / 10, "metrics": {"loss": 1.0}} for s in range(1, 9)))
    assert run["loss"].values[0] == 4.9
    assert "metrics/loss" in run.series


def test_times_of_day_in_thousandths_are_seconds():
    run = read(*lines({"step": s, "loss": 2.5, "timestamp": 1_772_359_860_000 + s} for s in range(1, 9)))
    assert run["time"].values[0] == pytest.approx(1_772_359_860.001)


def test_a_part_of_a_torn_record_is_no_record():
    run = read(A, '{"step": 2, "metrics": {"loss": 2.5, "lr": 0.1}, "kin', C)
    assert run["loss"].steps.tolist() == [1, 3]
    assert [(s.line, s.reason) for s in run.skipped] == [(2, "a torn record")]


@pytest.mark.parametrize(
    "word",
    [
        "tensor(2.5)",
        "tensor(2.5000, device='cuda:0', grad_fn=<NllLossBackward0>)",
        "tensor([2.5])",
        "torch.tensor(2.5, dtype=torch.bfloat16)",
        "np.float32(2.5)",
        "numpy.float64(2.5)",
        "array(2.5, dtype=float32)",
        "Array(2.5, dtype=float32, weak_type=True)",
        "tf.Tensor(2.5, shape=(), dtype=float32)",
        "<tf.Tensor: shape=(), dtype=float32, numpy=2.5>",
        " 2.50 ",
    ],
)
def test_numbers_in_words_are_numbers(word):
    run = read(A, json.dumps({"step": 2, "loss": word}), C)
    assert run["loss"].values.tolist() == [3.5, 2.5, 1.5]


def test_several_numbers_in_a_tensor_are_no_number():
    run = read(A, json.dumps({"step": 2, "loss": "tensor([2.5, 2.25])"}), C)
    assert (len(run["loss"]), len(run.skipped)) == (2, 1)


def test_the_accuracy_of_llama_factory_is_that_of_pairs():
    record = {"total_steps": 9, "loss": 0.6, "accuracy": 0.55, "lr": 1e-6, "epoch": 0.1, "percentage": 11.1}
    text = "".join(json.dumps({"current_steps": n, **record}) + "\n" for n in range(1, 10))
    (run,) = runs_of(Source("trainer_log.jsonl", content=text.encode()))
    assert (run.method, run["reward_accuracy"].values[0], "accuracy" in run) == ("dpo", 0.55, False)
    (plain,) = runs_of(Source("trainer_log.jsonl", content=text.replace('"accuracy": 0.55, ', "").encode()))
    assert plain.method == "pretraining"
