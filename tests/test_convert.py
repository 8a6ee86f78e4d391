"""A converted log follows the schema of the standard log and keeps every value, event and restart."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from lmdiag.convert import lines, parquet, records
from lmdiag.judging.reading import runs_of
from lmdiag.record.schema import json_schema
from lmdiag.run import Event, Run, Segment, Series, Skipped
from lmdiag.sources.source import Source


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


def as_jsonl(run):
    return Source("b.jsonl", content="\n".join(lines(run)).encode())


def as_parquet(run):
    return Source("b.parquet", content=parquet([run]))


def assert_same(run, again):
    facts = ("name", "config", "events", "notes", "skipped", "objective", "step_kind")
    assert {f: getattr(run, f) for f in facts} == {f: getattr(again, f) for f in facts}
    assert [(s.first_step, s.last_step) for s in run.segments] == [(s.first_step, s.last_step) for s in again.segments]
    for one, other in ((run.series, again.series), (run.superseded, again.superseded)):
        assert set(one) == set(other)
        for name, found in one.items():
            np.testing.assert_array_equal(found.steps, other[name].steps, name)
            np.testing.assert_array_equal(found.values, other[name].values, name)
    for name, found in run.series.items():
        kept = again[name]
        said = (found.source_name, found.source_unit, found.decimals, found.reduction)
        assert said == (kept.source_name, kept.source_unit, kept.decimals, kept.reduction), name


@pytest.mark.parametrize("form", [as_jsonl, as_parquet])
def test_a_run_with_everything_comes_back(form):
    run = Run(
        "a",
        {
            "loss": Series(
                np.array([1, 2, 3, 9]), np.array([3.5, np.nan, 2.5, 2.0]), None, "lm loss", "bits", 1, "window_mean"
            ),
            "val/loss": series([3, 9], [2.5, np.inf]),
            "train/loss": series([3], [2.0]),
            "layers/h.0/mlp/grad_norm": series([1, 2], [0.5, 0.25]),
            "train/acc/step": series([1], [0.5]),
            "time": series([1], [1e9]),
        },
        config={"max_steps": 9, "model": {"params": 7}, "loss_unit": "nats"},
        events=(
            Event("restart", 3),
            Event("sample", 3, "once", {"length": 5}),
            Event("end", 9, "", {"status": "crashed"}),
        ),
        segments=(Segment(1, 9, 0),),
        notes=("The steps are counted.",),
        skipped=(Skipped(3, "torn", 2),),
        objective="reinforcement",
        step_kind="tokens",
    )
    (again,) = runs_of(form(run))
    assert_same(run, again)


@pytest.mark.parametrize("size", [40, 20_000])  # decoded line by line, and read by polars
@pytest.mark.parametrize("form", [as_jsonl, as_parquet])
@pytest.mark.parametrize("metric", ["step", "run", "time", "type", "split", "metrics", "kind", "val/step"])
def test_a_metric_may_be_called_like_a_field(form, metric, size):
    steps = np.arange(1, size + 1)
    run = Run("a", {metric: Series(steps, steps / 2 + 0.25, decimals=2), "loss": series(steps, 9 / steps)})
    (again,) = runs_of(form(run))
    assert_same(replace(run, segments=(Segment(1, size, 0),)), again)


@pytest.mark.parametrize("form", [as_jsonl, as_parquet])
@settings(max_examples=30)
@given(
    checkpoint=st.integers(1, 18),
    crash=st.integers(1, 20),
    after=st.integers(3, 20),
    losses=st.lists(st.floats(0.125, 16.0), min_size=60, max_size=60),
)
def test_a_resumed_run_comes_back(form, checkpoint, crash, after, losses):
    steps = [*range(10, 210, 10)][: max(crash, checkpoint) + 1]
    steps += [10 * (checkpoint + i) for i in range(after)]
    written = "".join(json.dumps({"step": s, "loss": v, "lr": 0.1}) + "\n" for s, v in zip(steps, losses, strict=False))
    run, *others = runs_of(Source("a.jsonl", content=written.encode()))
    assume(not others)  # where count and loss are back at the beginning, these are two runs
    (again,) = runs_of(form(run))
    assert_same(run, again)
