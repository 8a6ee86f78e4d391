"""Runs on a real trackio server: the same as its database, every row, and what is not there."""

import json
import math
import os
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from http.client import HTTPSConnection
from pathlib import Path

import pytest

from lmdiag.cli import main
from lmdiag.judging.logs import judge
from lmdiag.judging.reading import find, read
from lmdiag.readers.options import ReadOptions
from lmdiag.trackers import trackio
from lmdiag.watching.tracked import TrackedFollower
from tests.trackers.conftest import Proxy, falling, free_port, passing_on, said, wait_for

pytest.importorskip("trackio", reason="trackio is not installed: its server cannot be started")
pytestmark = pytest.mark.slow

TOKEN = "hunter2hunter2"
WRITE = """
import json, sys, trackio
for name, losses in json.load(sys.stdin).items():
    trackio.init(project="pretraining", name=name, config={"max_steps": len(losses)})
    for step, loss in enumerate(losses):
        trackio.log({"train/loss": loss}, step=step)
    if name == "broken":
        trackio.alert("it broke", text="badly")
    trackio.finish()
"""
SERVE = """
import sys, trackio
trackio.show(project="pretraining", open_browser=False, block_thread=True)
"""


@pytest.fixture(scope="module")
def store():
    """The folder that trackio wrote its runs into."""
    losses = {"healthy": falling(150), "broken": [*falling(100), math.nan, *falling(20, 3)]}
    with tempfile.TemporaryDirectory() as folder:
        write(folder, losses)
        yield Path(folder)


def write(folder, losses):
    environment = os.environ | {"TRACKIO_DIR": folder, "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    command = [sys.executable, "-c", WRITE]
    subprocess.run(
        command,
        input=json.dumps(losses),
        text=True,
        env=environment,
        cwd=folder,
        check=True,
        capture_output=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def server(store):
    """A trackio server of these runs."""
    port = free_port()
    environment = os.environ | {"TRACKIO_DIR": str(store), "GRADIO_SERVER_PORT": str(port), "HF_HUB_OFFLINE": "1"}
    environment |= {"TRACKIO_WRITE_TOKEN": TOKEN}
    log = store / "server.log"
    with log.open("wb") as out:
        process = subprocess.Popen([sys.executable, "-c", SERVE], env=environment, cwd=store, stdout=out, stderr=out)
    try:
        wait_for(f"http://127.0.0.1:{port}/", process, log)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
def proxy(server):
    with passing_on(Proxy(f"http://{server}")) as found:
        yield found


def test_the_server_says_the_same_as_its_database_on_disk(server, store):
    of_server, of_disk = said(f"trackio://{server}/pretraining"), said(store / "pretraining.db")
    assert list(of_server) == ["broken", "healthy"]
    assert of_server == {name: of_disk[name] for name in of_server}
    assert of_server["broken"][0] == "unhealthy"
    assert of_server["broken"][-1]


def test_pages_bring_every_row_once(server, proxy, monkeypatch):
    monkeypatch.setattr(trackio, "ROWS_A_PAGE", 40)
    found = read(f"trackio://{proxy.host}/pretraining/healthy")
    assert found["loss"].values.tolist() == falling(150)
    assert proxy.count("FROM metrics WHERE") == 4


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        ("/nothing", "has no project 'nothing'"),
        ("", "names no project"),
        ("/pretraining/nobody", "has no runs there"),
        ("/pretraining?state=failed", "neither states nor tags"),
        ("/pretraining?until=2020-01-01", "has no runs that fit"),
    ],
)
def test_what_is_not_there(server, rest, message, capsys):
    assert main(["check", f"trackio://{server}{rest}"]) == 2
    assert message in " ".join(capsys.readouterr().out.split())


def test_a_run_that_cannot_be_had_hides_no_other(server, proxy):
    healthy = read(f"trackio://{server}/pretraining/healthy").source.rpartition("/")[2]
    proxy.failing = {f"run_id = '{healthy}'": [500] * 100}
    report = judge(f"trackio://{proxy.host}/pretraining")
    assert [d.run.name for d in report.diagnoses] == ["broken"]
    assert report.unreadable[0].source.endswith(healthy)


def test_following_asks_only_for_new_rows(server, store, proxy):
    write(str(store), {"grows": falling(60)})
    (source,), _ = find([f"trackio://{proxy.host}/pretraining/grows"])
    follower = TrackedFollower(source, ReadOptions(), 0)
    assert (follower.poll(), len(follower.runs()[0]["loss"]), follower.poll()) == (True, 60, False)
    assert sum("id > 0" in asked for asked in proxy.asked) == 1


def test_a_space_is_asked_with_the_token_of_the_hub(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_hunter2")
    asked = []

    def request(connection, method, path, body, headers):
        asked.append((connection.host, path, headers["Authorization"]))
        raise ConnectionRefusedError("nobody is there")

    monkeypatch.setattr(HTTPSConnection, "request", request)
    find(["trackio://My_User/my.space/other"])
    assert asked == [("my-user-my-space.hf.space", "/api/get_all_projects", "Bearer hf_hunter2")]


def test_a_server_of_ones_own_gets_no_token(server, proxy, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_hunter2")
    read(f"trackio://{proxy.host}/pretraining/healthy")
    assert not any("Authorization" in headers for headers in proxy.headers)


def test_the_verdict_is_written_back_as_an_alert_and_not_read_as_one(server, store, monkeypatch, capsys):
    address, trackio_file = f"trackio://{server}/pretraining/broken", next(store.glob("*.db"))
    monkeypatch.delenv("TRACKIO_WRITE_TOKEN", raising=False)
    assert main(["check", address, "--publish"]) == 1
    assert "takes alerts with a write token only" in capsys.readouterr().err
    monkeypatch.setenv("TRACKIO_WRITE_TOKEN", "wrong")
    assert main(["check", address, "--publish"]) == 1
    assert "nothing was written" in (said := capsys.readouterr().err)
    assert "wrong" not in said
    monkeypatch.setenv("TRACKIO_WRITE_TOKEN", TOKEN)
    assert main(["check", address, "--publish", "--dry-run"]) == 1
    for _ in range(2):  # the second time nothing is new
        assert main(["check", address, "--publish"]) == 1
    with closing(sqlite3.connect(trackio_file)) as database:
        written = database.execute(
            "SELECT run_name, level, title, text FROM alerts WHERE title LIKE 'lmdiag%'"
        ).fetchall()
    ((run, level, title, text),) = written
    assert (run, level, title) == ("broken", "error", "lmdiag: unhealthy")
    assert text.startswith("non-finite-loss")
    assert [event.message for event in read(address).events] == ["it broke: badly"]
