"""A folder is uploaded whole; the logs in it are found as on the command line."""

import pytest

from lmdiag.app import logs as opened
from tests.app.conftest import SAMPLES

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
