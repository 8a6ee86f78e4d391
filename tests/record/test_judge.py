"""The judge stops a run for a finding of the severity asked for, and for nothing else."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lmdiag.record.judge import Judge

ROOT = Path(__file__).parents[2]
FINDINGS = [
    {"rule": "plateau", "severity": "warning", "message": "It stands."},
    {"rule": "divergence", "severity": "error", "message": "It rises."},
]


def test_a_judge_that_cannot_judge_says_so(tmp_path):
    with pytest.raises(ValueError, match='stop_on is "fatal"'):
        Judge(tmp_path / "a.jsonl", "fatal")


def test_a_judge_that_was_not_asked_never_looks(tmp_path):
    judge = Judge(tmp_path / "missing.jsonl", every_s=0.0)
    assert not any(judge.says_stop() for _ in range(3))
    judge.close()


def judged(monkeypatch, tmp_path, said, code, stop_on="error"):
    """Return the judge after one check, which says and ends as told."""
    monkeypatch.setattr(subprocess, "Popen", fake(said, code))
    judge = Judge(tmp_path / "a.jsonl", stop_on, every_s=0.0)
    assert not judge.says_stop()
    until = time.monotonic() + 60
    while judge._check is not None and time.monotonic() < until:
        judge.says_stop()
        time.sleep(0.01)
    return judge


def fake(said, code):
    start = subprocess.Popen

    def popen(command, **options):
        script = (
            f"import sys; sys.stdout.write({said!r}); sys.stderr.write('no module\\nnamed lmdiag\\n'); sys.exit({code})"
        )
        return start([sys.executable, "-c", script], **options)

    return popen


def report(*findings):
    return json.dumps({"runs": [{"findings": list(findings)}]})


@pytest.mark.parametrize(
    ("findings", "code", "stop_on", "found"),
    [
        (FINDINGS, 1, "error", "divergence: It rises."),
        (FINDINGS[:1], 1, "error", ""),
        (FINDINGS[:1], 1, "warning", "plateau: It stands."),
        (FINDINGS, 1, "warning", "divergence: It rises."),
        (FINDINGS[:1], 0, "error", ""),
        ([], 3, "error", ""),
    ],
)
def test_a_run_is_stopped_for_findings_of_the_kind_asked_for(
    monkeypatch, tmp_path, caplog, findings, code, stop_on, found
):
    judge = judged(monkeypatch, tmp_path, report(*findings), code, stop_on)
    assert (judge.found, judge.says_stop()) == (found, bool(found))
    assert judge.status == ("stopped" if found else "completed")
    assert caplog.text.count("lmdiag stops this run") == bool(found)
    assert "failed" not in caplog.text


@pytest.mark.parametrize(("said", "code"), [("", 1), ("", 2), ("{}", 1), ("[1]", 1), ("warning: x", -9)])
def test_a_check_that_fails_is_no_finding(monkeypatch, tmp_path, caplog, said, code):
    judge = judged(monkeypatch, tmp_path, said, code)
    assert (judge.found, judge.status) == ("", "completed")
    assert "lmdiag check failed (named lmdiag); training goes on, unjudged" in caplog.text
    judge.close()


def test_a_check_that_cannot_begin_is_no_finding(monkeypatch, tmp_path, caplog):
    def nothing(*command, **options):
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(subprocess, "Popen", nothing)
    judge = Judge(tmp_path / "a.jsonl", "error", every_s=0.0)
    assert not any(judge.says_stop() for _ in range(3))
    assert caplog.text.count("Cannot allocate memory") == 1


def test_a_loss_that_is_not_finite_is_looked_at_at_once_and_then_not_at_every_step(monkeypatch, tmp_path):
    monkeypatch.setattr(subprocess, "Popen", fake(report(), 0))
    judge = Judge(tmp_path / "a.jsonl", "error", every_s=3600.0)
    judge.says_stop()
    assert judge._check is None
    judge.says_stop(urgent=True)
    assert judge._check is not None
    judge._check.wait()
    judge.says_stop(urgent=True)  # takes the result
    judge.says_stop(urgent=True)
    assert judge._check is None
    judge._begun -= 6
    judge.says_stop(urgent=True)
    assert judge._check is not None
    judge.close()


TWO_PROCESSES = """
import os, sys, time
import torch
from torch import distributed

from lmdiag.record.judge import Judge
from lmdiag.record.writer import RunLogger

distributed.init_process_group("gloo")
path, rank = sys.argv[1], distributed.get_rank()
judge, stopped = Judge(path, "error", every_s=3600.0), None
with RunLogger(path, max_steps=100000) as log:
    for step in range(1, 100001):
        loss = torch.tensor(2.0 if step < 20 else float("nan"))
        distributed.all_reduce(loss)  # as gradients are: nobody is a step ahead
        log.step(step, loss=loss / 2)
        if judge.says_stop(urgent=not loss.isfinite()):
            log.event("stopped", step, judge.found)
            stopped = step
            break
        time.sleep(0.005)
    judge.close()
    log.end(judge.status)
with open(f"{path}.{rank}", "w") as file:
    file.write(f"{stopped} {judge.status} {judge.found}")
distributed.destroy_process_group()
"""


def test_of_two_processes_the_first_decides_and_both_stop_at_the_same_step(tmp_path):
    pytest.importorskip("torch")
    script, log = tmp_path / "two.py", tmp_path / "a.jsonl"
    script.write_text(TWO_PROCESSES)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, str(script), str(log)], env=environment, capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    said = [(tmp_path / f"a.jsonl.{rank}").read_text() for rank in (0, 1)]
    assert said[0] == said[1]
    assert re.match(r"\d+ stopped non-finite-loss: ", said[0])
    assert done.stderr.count("lmdiag stops this run: non-finite-loss") == 1
    end = json.loads(log.read_text().splitlines()[-1])
    assert (end["status"], f"{end['step']} ") == ("stopped", said[0].partition("stopped")[0])
