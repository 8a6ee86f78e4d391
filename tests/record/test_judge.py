"""The judge stops a run for a finding of the severity asked for, and for nothing else."""

import json
import subprocess
import sys
import time

import pytest

from lmdiag.record.judge import Judge

FINDINGS = [
    {"rule": "plateau", "severity": "warning", "message": "It stands."},
    {"rule": "divergence", "severity": "error", "message": "It rises."},
]


def test_a_judge_that_cannot_judge_says_so(monkeypatch, tmp_path):
    with pytest.raises(ValueError, match='stop_on is "fatal"'):
        Judge(tmp_path / "a.jsonl", "fatal")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="one process"):
        Judge(tmp_path / "a.jsonl", "error")


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


def test_a_loss_that_is_not_finite_is_looked_at_soon(monkeypatch, tmp_path):
    monkeypatch.setattr(subprocess, "Popen", fake(report(FINDINGS[1]), 1))
    judge = Judge(tmp_path / "a.jsonl", "error", every_s=3600.0)
    judge._begun -= 6
    judge.says_stop()
    assert judge._check is None
    judge.says_stop(urgent=True)
    assert judge._check is not None
    judge.close()
