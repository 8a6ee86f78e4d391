"""A folder is uploaded whole; the logs in it are found as on the command line."""

import pytest

from lmdiag.app import logs as opened
from tests.app.conftest import SAMPLES
from tests.readers.wandb_writer import history, wandb_file
from tests.readers.wandb_writer import run as begun

LOG = b"".join(b'{"step": %d, "loss": %f}\n' % (i, 3 + 5 / i) for i in range(1, 60))


@pytest.fixture
def session(monkeypatch):
    state = {}
    monkeypatch.setattr(opened.st, "session_state", state)
    return state


def test_the_logs_of_a_folder_are_opened_and_the_other_files_counted(session):
    files = {"runs/a.jsonl": LOG, "runs/deep/b.jsonl": SAMPLES[0].read_bytes(), "runs/model.bin": b"\x00\x01" * 99}
    files |= {"runs/README.md": b"# A run\n\nwith words\n"}
    assert opened.open_folder(files) == 2
    assert sorted(log.name for log in session["logs"].values()) == ["runs/a.jsonl", "runs/deep/b.jsonl"]
    assert opened.problems() == []


def test_a_path_that_climbs_out_stays_inside(session, tmp_path):
    assert opened.open_folder({"../../../x/a.jsonl": LOG, "/etc/b.jsonl": LOG + LOG[:20]}) == 0
    assert sorted(log.name for log in session["logs"].values()) == ["etc/b.jsonl", "x/a.jsonl"]


def test_a_folder_that_is_itself_a_run(session):
    rows = [history(step, loss=3 + 5 / step) for step in range(1, 60)]
    more = [history(step, loss=3 + 5 / step) for step in range(60, 99)]
    files = {"wandb/run-20260101_000000-abc/run-abc.wandb": wandb_file(begun("abc"), *rows), "wandb/debug.txt": b"x"}
    files["wandb/run-20260102_000000-abc/run-abc.wandb"] = wandb_file(begun("abc"), *more)
    assert opened.open_folder(files) == 2
    (log,) = session["logs"].values()
    assert (log.name, log.problem) == ("wandb/run-20260101_000000-abc/", None)
    assert [len(d.run["loss"]) for d in log.judged.diagnoses] == [98]  # folders of one id are one run that was resumed


def test_the_same_content_may_be_opened_more_than_once(session):
    for _ in range(2):
        assert opened.open_folder({"runs/a.jsonl": LOG, "runs/b.jsonl": LOG}) == 0
    assert [log.name for log in session["logs"].values()] == ["runs/a.jsonl", "runs/b.jsonl"] * 2
    assert len(opened.runs()) == 2  # each folder holds one run, twice


@pytest.mark.parametrize("name", ["runs/a.jsonl/b.jsonl", f"runs/{'x' * 300}.jsonl", "runs/\0.jsonl", ""])
def test_a_name_that_cannot_be_kept_is_said_and_hides_nothing(session, name):
    assert opened.open_folder({"runs/a.jsonl": LOG, name: LOG}) == 1
    assert len(opened.runs()) == 1
    (problem,) = opened.problems()
    assert "cannot be kept" in problem.problem.error


def test_a_folder_without_a_log_is_said(session):
    assert opened.open_folder({"runs/model.bin": b"\x00" * 99}) == 1
    (problem,) = opened.problems()
    assert "nothing in the folder that was uploaded has the name of a log" in problem.problem.error
