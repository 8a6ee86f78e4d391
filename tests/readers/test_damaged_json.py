"""JSON documents that are torn in front, in the middle or behind: every record that is whole is read, the damage is counted."""

import json
import pprint

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from lmdiag.judging.reading import runs_of
from lmdiag.readers import read_source, reader_for
from lmdiag.readers.json.damaged import closed
from lmdiag.readers.json.printed import repaired
from lmdiag.sources.source import Source

STEPS = range(10, 210, 10)
RECORDS = [{"epoch": s / 100, "learning_rate": 1e-5, "loss": 4.5 - s / 100, "step": s} for s in STEPS]
NESTED = [{"step": s, "train": {"loss": 4.5 - s / 100, "acc": 0.5}} for s in STEPS]
STATE = {"best_metric": None, "epoch": 2.0, "log_history": RECORDS, "logging_steps": 10, "max_steps": 200}
SHAPES = {
    "a list on one line": json.dumps(RECORDS),
    "a list over lines": json.dumps(RECORDS, indent=2),
    "a list, a record on each line": "[\n" + ",\n".join(map(json.dumps, RECORDS)) + "\n]\n",
    "no blanks": json.dumps(RECORDS, separators=(",", ":")),
    "a printed list": repr(RECORDS),
    "a pretty printed list": pprint.pformat(RECORDS),
    "printed tensors": repr(RECORDS).replace("'loss': ", "'loss': tensor(").replace(", 'step'", "), 'step'"),
    "inside an object": json.dumps({"config": {"lr": 0.1}, "history": RECORDS}, indent=1),
    "a trainer state": json.dumps(STATE, indent=2) + "\n",
    "a trainer state on one line": json.dumps(STATE),
    "a printed trainer state": repr(STATE),
    "a trainer state as an object": f"TrainerState(epoch=2.0, log_history={RECORDS}, max_steps=200)",
    "nested": json.dumps(NESTED, indent=2),
}


def spans(text):
    """Where each record stands in a text."""
    found, at = [], 0
    for step in STEPS:
        key = next(k for k in (f'"step": {step}', f'"step":{step}', f"'step': {step}") if k in text)
        middle = text.index(key, at)
        if "train" in text:
            start, end = text.rindex("{", 0, middle), text.index("}", text.index("}", middle) + 1) + 1
        else:
            start, end = text.rindex("{", 0, middle), text.index("}", middle) + 1
        found.append((start, end))
        at = end
    return found


def pairs(log):
    rows = {}
    for name, column in log.columns.items():
        if name == "step" or "loss" in name:
            for row, value in zip(column.rows.tolist(), column.values.tolist(), strict=True):
                rows.setdefault(row, {})["step" if name == "step" else "loss"] = value
    return {(r.get("step"), r.get("loss")) for r in rows.values()}


def is_json(text):
    if text.startswith("TrainerState(") and text.endswith(")"):
        text = text[text.find("[") : text.rfind("]") + 1]
    try:
        json.loads(repaired(text))
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("name", ["state.json", "train_loss.log", "out"])
@pytest.mark.parametrize("text", SHAPES.values(), ids=SHAPES)
def test_whole_documents_are_read(text, name):
    (run,) = runs_of(Source(name, content=text.encode()))
    assert run["loss"].steps.tolist() == list(STEPS)
    assert run["loss"].values.tolist() == [4.5 - s / 100 for s in STEPS]
    assert run.skipped == ()


@pytest.mark.parametrize("text", SHAPES.values(), ids=SHAPES)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(data=st.data())
def test_every_untouched_record_of_a_torn_document_is_read(text, data):
    places = spans(text)
    front = data.draw(st.just(0) | st.integers(0, places[5][0]), "front")
    back = data.draw(st.just(len(text)) | st.integers(places[14][1], len(text)), "back")
    holes = []
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(places[6][0], places[13][1]), "hole")
        holes.append((at, at + data.draw(st.integers(1, 25))))
    kept = [(p, c) for p, c in enumerate(text) if front <= p < back and not any(a <= p < b for a, b in holes)]
    torn = "".join(c for _, c in kept)
    gone = [(0, front), (back, len(text)), *holes]
    assume(torn.strip() and torn != text)
    untouched = {
        (float(s), 4.5 - s / 100)
        for s, (start, end) in zip(STEPS, places, strict=True)
        if not any(a < end and start < b for a, b in gone if a < b)
    }
    source = Source("a.json", content=torn.encode())
    assert reader_for(source) in ("json-document", "hf-trainer-state")
    (log,) = read_source(source)
    assert untouched <= pairs(log)
    assert log.skipped or is_json(torn)
    assert all(skip.line > 0 for skip in log.skipped)


def test_each_damage_is_counted_with_its_line():
    text = json.dumps(STATE, indent=2)
    torn = text.replace('"step": 50\n', '"st\n').replace('"loss": 3.0,', '"loss": ,')
    (run,) = runs_of(Source("trainer_state.json", content=torn.encode()))
    assert run["loss"].steps.tolist() == [s for s in STEPS if s not in (50, 150)]
    lines = torn.split("\n")
    assert [skip.count for skip in run.skipped] == [1, 1]
    assert [skip.line for skip in run.skipped] == [
        lines.index('      "step": 40') + 3,
        lines.index('      "step": 140') + 3,
    ]
    assert run.config["max_steps"] == 200


def test_objects_with_a_number_as_their_name_keep_it():
    text = json.dumps({f"epoch_{k}": {"train_loss": 5 - k / 10, "val_loss": 6 - k / 10} for k in range(1, 9)}, indent=1)
    (run,) = runs_of(Source("a.json", content=text[:-30].encode()))
    assert run["loss"].steps.tolist() == list(range(1, 8))


@pytest.mark.parametrize("cut", [20, 60, 100, 140])
def test_lists_that_end_too_early(cut):
    text = json.dumps({"train_loss": [5 - k / 10 for k in range(20)], "val_loss": [6 - k / 10 for k in range(20)]})
    (run,) = runs_of(Source("a.json", content=text[:-cut].encode()))
    assert run["loss"].values.tolist() == [5 - k / 10 for k in range(20)][: len(run["loss"])]
    assert run.skipped


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text("ab{[:,\\\"'"),
        lambda x: st.lists(x) | st.dictionaries(st.text("k:"), x),
    ),
    st.data(),
)
def test_what_ends_too_early_is_closed_or_nothing(document, data):
    text = json.dumps(document)
    cut = data.draw(st.integers(0, len(text)))
    assert closed(text[:cut]) is None or isinstance(closed(text[:cut]), (dict, list, str, int, float))


@pytest.mark.parametrize("name", ["x.json", "x.jsonl"])
def test_an_integer_of_thousands_of_digits_tears_no_record(name):
    records = [json.dumps({"step": s, "loss": 4.5 - s / 100, "hash": 7}) for s in STEPS]
    records[3] = records[3].replace(": 7", ": " + "7" * 5000)
    text = "\n".join(records) if name.endswith("l") else f"[{', '.join(records)}]"
    (log,) = read_source(Source(name, content=text.encode()))
    assert log.columns["loss"].values.tolist() == [4.5 - s / 100 for s in STEPS]
    assert np.isinf(log.columns["hash"].values).tolist() == [s == STEPS[3] for s in STEPS]
    assert not log.skipped
