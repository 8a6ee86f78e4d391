"""The standard log: headers, steps, evaluations, events, restarts, several runs in one file."""

import json

import pytest

from lmdiag.judging.reading import runs_of
from lmdiag.record.writer import RunLogger
from lmdiag.sources.source import Source

HEAD = {"type": "run", "schema": "lmdiag-log/1", "run_id": "a", "name": "first", "max_steps": 4, "config": {"lr": 0.1}}


def read(*records):
    content = "".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in records).encode()
    return runs_of(Source("a.jsonl", content=content))


def step(number, loss, **more):
    return {"type": "step", "step": number, "loss": loss, **more}


def test_what_the_logger_wrote_is_read(tmp_path):
    with RunLogger(tmp_path / "a.jsonl", config={"lr": 0.1}, name="first", max_steps=2) as log:
        log.step(1, loss=3.0, layers={"h.0": {"grad_norm": 0.5}})
        log.step(2, loss=float("nan"), grad_norm=float("inf"))
        log.eval(2, split="val", loss=2.5)
        log.eval(2, split="train", loss=2.0)
        log.event("checkpoint_saved", 2, path="b")
    (run,) = runs_of(Source("a.jsonl", tmp_path / "a.jsonl"))
    found = {name: s.values.tolist() for name, s in run.series.items() if name != "time"}
    assert found == {
        "loss": pytest.approx([3.0, float("nan")], nan_ok=True),
        "grad_norm": [float("inf")],
        "layers/h.0/grad_norm": [0.5],
        "val/loss": [2.5],
        "train/loss": [2.0],
    }
    assert (run.name, run.config["max_steps"], run.config["config"]) == ("first", 2, {"lr": 0.1})
    assert [(e.kind, e.step) for e in run.events] == [("checkpoint_saved", 2), ("end", 2)]
    assert (run.complete, run.skipped, run.format) == (True, (), "lmdiag-log/1")


def test_a_second_header_of_the_run_is_a_restart():
    (run,) = read(
        HEAD,
        *[step(s, 9.0 - s) for s in range(1, 8)],
        {**HEAD, "resumed_from_step": 3},
        *[step(s, 1.0) for s in range(4, 9)],
    )
    assert [(s.first_step, s.last_step) for s in run.segments] == [(1, 7), (4, 8)]
    assert run["loss"].values.tolist() == [8.0, 7.0, 6.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    assert run.superseded["loss"].values.tolist() == [5.0, 4.0, 3.0, 2.0]
    assert [(e.kind, e.step) for e in run.events] == [("restart", 3)]


def test_headers_of_several_runs_separate_them():
    first, second = read(
        HEAD,
        step(1, 3.0),
        {**HEAD, "run_id": "b", "name": "second", "max_steps": 9},
        step(1, 5.0),
        {**HEAD, "run_id": "a"},
        step(2, 2.0),
    )
    assert (first.name, first["loss"].values.tolist(), first.config["max_steps"]) == ("first", [3.0, 2.0], 4)
    assert (second.name, second["loss"].values.tolist(), second.config["max_steps"]) == ("second", [5.0], 9)


def test_unknown_types_are_counted_and_unknown_numbers_kept():
    (run,) = read(
        HEAD, step(1, 3.0, my_number=7), {"type": "picture", "step": 1}, {"step": 2, "loss": 2.0, "val_loss": 2.5}
    )
    assert (run["my_number"].values.tolist(), run["val/loss"].values.tolist()) == ([7.0], [2.5])
    assert [(s.line, s.reason, s.count) for s in run.skipped] == [(3, "a record of the unknown type 'picture'", 1)]


def test_names_of_other_tools_are_translated_here_too():
    (run,) = read(HEAD, step(1, 3.0, learning_rate=0.1))
    assert run["lr"].values.tolist() == [0.1]


def test_evaluations_are_translated_as_well():
    evaluation = {"type": "eval", "step": 1, "split": "hard", "loss": 2.5, "mean_token_accuracy": 0.5, "nll_loss": 9.0}
    (run,) = read(HEAD, step(1, 3.0), evaluation | {"n_tokens": 7, "my metric": 1.0})
    found = {name: s.values.tolist() for name, s in run.series.items() if name.startswith("hard/")}
    assert found == {
        "hard/loss": [2.5],
        "hard/accuracy": [0.5],
        "hard/nll_loss": [9.0],
        "hard/n_tokens": [7.0],
        "hard/my metric": [1.0],
    }


def test_a_torn_end_costs_one_line():
    (run,) = read(HEAD, step(1, 3.0), '{"type": "step", "step": 2, "lo')
    assert (len(run["loss"]), [(s.line, s.reason) for s in run.skipped]) == (1, [(3, "a torn record")])


def test_a_later_version_is_said():
    (run,) = read({**HEAD, "schema": "lmdiag-log/7"}, step(1, 3.0))
    assert "version 7" in run.notes[0]
