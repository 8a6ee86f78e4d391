"""A converted log follows the schema of the standard log and keeps every value, event and restart."""

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from lmdiag.convert import lines, records
from lmdiag.record.schema import json_schema
from lmdiag.run import Event, Run, Segment, Series


def series(steps, values):
    return Series(np.array(steps, np.int64), np.array(values, float))


RUN = Run(
    "a",
    {
        "loss": series([1, 2, 3, 4], [3.0, np.nan, 2.0, np.inf]),
        "val/loss": series([2, 4], [3.1, 2.1]),
        "layers/h.0/grad_norm": series([1], [0.5]),
    },
    config={"max_steps": 4, "config": {"lr": 0.1}},
    events=(Event("checkpoint_saved", 2, fields={"path": "b"}), Event("end", 4, fields={"status": "completed"})),
)


def test_every_record_follows_the_schema():
    validator = Draft202012Validator(json_schema())
    for line in lines(RUN):
        validator.validate(json.loads(line, parse_constant=lambda word: 1 / 0))


def test_the_records_hold_what_the_run_holds():
    header, *rest = [json.loads(line) for line in lines(RUN)]
    assert (header["schema"], header["max_steps"], header["config"]) == ("lmdiag-log/1", 4, {"lr": 0.1})
    assert rest == [
        {"type": "step", "step": 1, "loss": 3.0, "layers": {"h.0": {"grad_norm": 0.5}}},
        {"type": "step", "step": 2, "loss": "NaN"},
        {"type": "eval", "step": 2, "split": "val", "loss": 3.1},
        {"type": "step", "step": 3, "loss": 2.0},
        {"type": "step", "step": 4, "loss": "Infinity"},
        {"type": "eval", "step": 4, "split": "val", "loss": 2.1},
        {"type": "event", "kind": "checkpoint_saved", "step": 2, "path": "b"},
        {"type": "end", "status": "completed", "step": 4},
    ]


def test_a_resumed_run_keeps_the_values_that_were_written_again():
    run = Run(
        "a",
        {"loss": series([1, 2, 3, 4], [1, 2.5, 3.5, 4])},
        segments=(Segment(1, 3, 0), Segment(2, 4, 3)),
        superseded={"loss": series([2, 3], [2, 3])},
    )
    found = [(r["type"], r.get("step"), r.get("loss", r.get("resumed_from_step"))) for r in records(run)]
    assert found == [
        ("run", None, None),
        *[("step", 1, 1), ("step", 2, 2), ("step", 3, 3)],
        ("run", None, 1),
        *[("step", 2, 2.5), ("step", 3, 3.5), ("step", 4, 4)],
    ]


@given(st.dictionaries(st.integers(0, 10**6), st.floats(width=64), min_size=1))
def test_any_values_stay_what_they_are(values):
    steps = sorted(values)
    run = Run("a", {"loss": series(steps, [values[s] for s in steps])})
    found = [float(json.loads(line)["loss"]) for line in list(lines(run))[1:]]
    np.testing.assert_array_equal(found, [values[s] for s in steps])
