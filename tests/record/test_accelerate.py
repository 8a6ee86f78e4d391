"""The tracker records what a real Accelerator logs."""

import json

import pytest

pytest.importorskip("torch")
accelerate = pytest.importorskip("accelerate")

from lmdiag.judging.reading import runs_of  # noqa: E402
from lmdiag.record.accelerate import LmdiagTracker  # noqa: E402
from lmdiag.sources.source import Source  # noqa: E402


def records(path, kind):
    return [r for r in map(json.loads, path.read_text().splitlines()) if r["type"] == kind]


def started(path, **options):
    accelerator = accelerate.Accelerator(log_with=LmdiagTracker(path, **options), cpu=True)
    accelerator.init_trackers("project", config={"lr": 0.1, "layers": 2})
    return accelerator


def test_steps_evaluations_header_and_end(tmp_path):
    path = tmp_path / "a.jsonl"
    accelerator = started(path, task="causal-lm", max_steps=3)
    for step in (1, 2, 3):
        accelerator.log({"loss": 3.0 / step, "lr": 0.1, "note": "text"}, step=step)
    accelerator.log({"val_loss": 1.5, "val_accuracy": 0.5}, step=3)
    accelerator.end_training()
    (run,) = runs_of(Source(str(path), path))
    assert (run["loss"].steps.tolist(), run["loss"].values.tolist()) == ([1, 2, 3], [3.0, 1.5, 1.0])
    assert (run["val/loss"].steps.tolist(), run["val/accuracy"].values.tolist()) == ([3], [0.5])
    assert (run.config["config"], run.config["task"], run.complete) == ({"lr": 0.1, "layers": 2}, "causal-lm", True)


def test_steps_are_counted_where_none_is_given(tmp_path):
    path = tmp_path / "a.jsonl"
    accelerator = started(path)
    for values in ({"loss": 2.0}, {"loss": float("nan")}, {"eval_loss": 1.0}, {"loss": 1.0}):
        accelerator.log(values)
    assert [r["step"] for r in records(path, "step")] == [1, 2, 3]
    assert [r["step"] for r in records(path, "eval")] == [2]
    assert records(path, "step")[1]["loss"] == "NaN"


def test_the_log_itself_takes_events(tmp_path):
    path = tmp_path / "a.jsonl"
    accelerator = started(path)
    accelerator.get_tracker("lmdiag", unwrap=True).event("sample", 1, "once upon a time")
    assert records(path, "event")[0]["message"] == "once upon a time"


def test_a_run_is_continued_where_asked(tmp_path):
    path = tmp_path / "a.jsonl"
    for resume, step in ((False, 1), (True, 2)):
        accelerator = started(path, resume=resume)
        accelerator.log({"loss": 1.0}, step=step)
        accelerator.end_training()
    assert [r.get("resumed_from_step") for r in records(path, "run")] == [None, 1]


def test_names_that_the_log_uses_itself_stop_nothing(tmp_path):
    path = tmp_path / "a.jsonl"
    accelerator = started(path)
    accelerator.log({"loss": 1.0, "step": 7, "self": 2.0, "eval_step": 7, "eval_loss": 0.5}, step=3)
    (step,), (evaluation,) = records(path, "step"), records(path, "eval")
    assert (step["step"], step["loss"], step["self"]) == (3, 1.0, 2.0)
    assert (evaluation["step"], evaluation["loss"]) == (3, 0.5)
