"""The writer of the standard log: strict JSON, crash-safe, never over another run."""

import json
import math
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lmdiag.record.writer import LogInUse, RunLogger


def records(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "runs" / "a.jsonl"


def test_writes_header_records_and_end(path):
    with RunLogger(path, {"lr": 3e-4}, name="a", max_steps=2, grad_clip=1.0) as log:
        log.step(1, loss=2.5, lr=1e-3, layers={"blocks.0": {"grad_norm": 0.5}})
        log.eval(1, loss=2.6, n_tokens=100)
        log.event("checkpoint_saved", 1, path="x.pt")
    run, step, evaluation, event, end = records(path)
    assert (run["type"], run["schema"], run["config"], run["max_steps"]) == ("run", "lmdiag-log/1", {"lr": 3e-4}, 2)
    assert step["layers"] == {"blocks.0": {"grad_norm": 0.5}}
    assert (evaluation["split"], evaluation["loss"]) == ("val", 2.6)
    assert (event["kind"], event["step"], event["path"]) == ("checkpoint_saved", 1, "x.pt")
    assert (end["status"], end["step"]) == ("completed", 1)


def test_writes_non_finite_numbers_as_words(path):
    with RunLogger(path) as log:
        log.step(1, loss=math.nan, grad_norm=math.inf, layers={"a": {"grad_norm": -math.inf}})
    step = records(path)[1]
    assert (step["loss"], step["grad_norm"], step["layers"]["a"]["grad_norm"]) == ("NaN", "Infinity", "-Infinity")


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (torch.tensor(2.5), 2.5),
        (torch.tensor([2.5], requires_grad=True), 2.5),
        (torch.tensor(math.nan), "NaN"),
        (torch.tensor(3), 3),
        (np.float32(0.5), 0.5),
        (np.float64(math.inf), "Infinity"),
        (np.int64(7), 7),
    ],
)
def test_takes_scalars_of_other_libraries(path, value, written):
    with RunLogger(path) as log:
        log.step(1, loss=value)
    assert records(path)[1]["loss"] == written


def test_leaves_out_what_was_not_measured(path):
    with RunLogger(path) as log:
        log.step(1, loss=1.0, mem_bytes=None)
    assert "mem_bytes" not in records(path)[1]


def test_refuses_a_metric_that_is_no_number_and_names_it(path):
    with RunLogger(path) as log, pytest.raises(TypeError, match="loss is not a single number"):
        log.step(1, loss=torch.ones(3))


def test_writes_odd_settings_as_text(path):
    RunLogger(path, {"dtype": torch.float32, "folder": path, "betas": (0.9, math.inf)}).end()
    config = records(path)[0]["config"]
    assert config == {"dtype": "torch.float32", "folder": str(path), "betas": [0.9, "Infinity"]}


def test_refuses_a_file_that_holds_another_run(path):
    RunLogger(path).end()
    before = path.read_bytes()
    with pytest.raises(LogInUse, match="already holds a run"):
        RunLogger(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("resume", [False, True])
def test_refuses_a_file_that_is_no_log(path, resume):
    path.parent.mkdir()
    path.write_text("my thesis\n")
    with pytest.raises(LogInUse, match="not a standard log"):
        RunLogger(path, resume=resume)
    assert path.read_text() == "my thesis\n"


def test_resume_appends_a_header_with_the_same_id(path):
    with RunLogger(path, name="a") as first:
        first.step(10, loss=1.0)
    with RunLogger(path, resume=True, name="a", resumed_from_step=8) as second:
        second.step(9, loss=1.1)
    headers = [r for r in records(path) if r["type"] == "run"]
    assert [h["run_id"] for h in headers] == [first.run_id, first.run_id]
    assert [h.get("resumed_from_step") for h in headers] == [None, 8]


def test_resume_without_a_step_takes_the_last_one_and_mends_a_torn_line(path):
    with RunLogger(path) as log:
        log.step(10, loss=1.0)
    with path.open("a") as file:
        file.write('{"type":"step","step":11,"lo')
    RunLogger(path, resume=True).end()
    lines = path.read_text().splitlines()
    assert lines[3] == '{"type":"step","step":11,"lo'
    assert json.loads(lines[4])["resumed_from_step"] == 10


def test_resume_of_another_run_is_refused_and_of_none_starts_one(path):
    RunLogger(path, resume=True, run_id="one").end()
    assert "resumed_from_step" not in records(path)[0]
    with pytest.raises(LogInUse, match="holds the run one, not two"):
        RunLogger(path, resume=True, run_id="two")


@pytest.mark.parametrize(
    ("error", "status", "code", "kinds"),
    [
        (RuntimeError("CUDA out of memory"), "crashed", 1, ["exception"]),
        (KeyboardInterrupt(), "killed", 130, []),
        (SystemExit(3), "crashed", 3, []),
        (SystemExit(), "completed", 0, []),
    ],
)
def test_says_how_a_run_ended(path, error, status, code, kinds):
    def crash():
        with RunLogger(path) as log:
            log.step(5, loss=1.0)
            raise error

    with pytest.raises(type(error)):
        crash()
    end = records(path)[-1]
    assert (end["status"], end["exit_code"], end["step"]) == (status, code, 5)
    assert [r["kind"] for r in records(path) if r["type"] == "event"] == kinds


def test_without_a_clock_the_same_run_writes_the_same_log(tmp_path):
    logs = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    for log in logs:
        with RunLogger(log, run_id="r", clock=False) as writer:
            writer.step(1, loss=1.0)
            writer.eval(1, loss=1.0)
            writer.event("odd", 1)
    assert logs[0].read_bytes() == logs[1].read_bytes()


def test_only_the_first_end_counts(path):
    with RunLogger(path) as log:
        log.end("killed")
        log.step(1, loss=1.0)
    assert [r.get("status") for r in records(path)] == [None, "killed"]


def test_a_killed_process_loses_nothing_it_logged(path):
    code = f"""
import os
from lmdiag.record.writer import RunLogger
log = RunLogger({str(path)!r})
for step in range(1, 51):
    log.step(step, loss=1.0)
os.kill(os.getpid(), {int(signal.SIGKILL)})
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGKILL
    assert [r.get("step") for r in records(path)] == [None, *range(1, 51)]


def test_other_ranks_write_only_when_asked(path, monkeypatch):
    monkeypatch.setenv("RANK", "2")
    with RunLogger(path) as log:
        log.step(1, loss=1.0)
    assert not path.parent.exists()
    with RunLogger(path, all_ranks=True) as log:
        log.step(1, loss=1.0)
    assert os.listdir(path.parent) == ["a.rank2.jsonl"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@settings(max_examples=60)
@given(
    fields=st.dictionaries(
        st.text(min_size=1).filter(lambda n: n not in ("kind", "step", "message", "self")), json_values
    )
)
def test_whatever_is_logged_every_line_is_strict_json(tmp_path_factory, fields):
    path = tmp_path_factory.mktemp("log") / "a.jsonl"
    with RunLogger(path, fields) as log:
        log.event("odd", 1, **{f"x_{name}": value for name, value in fields.items()})

    def refuse(constant):
        raise AssertionError(constant)

    lines = path.read_text(encoding="utf-8").split("\n")
    assert len(lines) == 4
    assert [json.loads(line, parse_constant=refuse)["type"] for line in lines[:3]] == ["run", "event", "end"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_that_ends_does_not_end_the_run(tmp_path):
    """In a process of its own: a fork of the tests would go on with the tests."""
    script = f"""
import os, sys
from lmdiag.record.writer import RunLogger
with RunLogger({str(tmp_path / "a.jsonl")!r}) as log:
    log.step(1, loss=2.0)
    if not (child := os.fork()):
        log.step(2, loss=1.9)
        sys.exit(3)
    os.waitpid(child, 0)
    log.step(3, loss=1.8)
"""
    subprocess.run([sys.executable, "-c", script], check=True)
    records = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert [(r["type"], r.get("step"), r.get("status")) for r in records[1:]] == [
        ("step", 1, None),
        ("step", 2, None),
        ("step", 3, None),
        ("end", 3, "completed"),
    ]


def test_a_log_that_another_process_writes_is_not_resumed(tmp_path):
    pytest.importorskip("fcntl", reason="this system has no such locks")
    path = tmp_path / "a.jsonl"
    script = f"from lmdiag.record.writer import RunLogger; RunLogger({str(path)!r}, resume=True).step(2, loss=1.9)"
    log = RunLogger(path)
    log.step(1, loss=2.0)
    refused = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert refused.returncode
    assert "a.jsonl is being written by another process. End it first" in refused.stderr
    assert len(path.read_text().splitlines()) == 2
    log.end("killed")
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


FULL_DISK = """
import resource, sys
from lmdiag.record.writer import RunLogger

def room(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

with RunLogger(sys.argv[1], clock=False) as log:
    log.step(1, loss=2.5)
    room(log.path.stat().st_size + 20)  # the next record fits in part
    for step in (2, 3, 4):
        log.step(step, loss=2.5)
    room(resource.RLIM_INFINITY)
    log.step(5, loss=2.5)
print("trained")
"""


def test_a_full_disk_costs_records_and_not_the_run(path):
    pytest.importorskip("resource", reason="this system has no such limits")
    done = subprocess.run([sys.executable, "-c", FULL_DISK, path], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "trained\n")
    assert done.stderr == f"{path} cannot be written (File too large); training goes on without its log\n"
    _, first, torn, gap, last, end = path.read_text(encoding="utf-8").splitlines()
    assert len(torn) == 20
    assert [json.loads(line).get("step") for line in (first, last, end)] == [1, 5, 5]
    assert json.loads(gap) == {"type": "event", "kind": "records_lost", "message": "3 records could not be written"}


def test_a_log_that_cannot_be_begun_is_an_error():
    with pytest.raises(OSError, match="No space left"):
        RunLogger("/dev/full")
