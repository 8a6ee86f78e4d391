"""Every kind of damaged line: the value is right, or its loss is counted; the same by either way of decoding."""

import json
import math
import time

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
