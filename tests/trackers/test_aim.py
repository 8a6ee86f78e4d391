"""Runs on a real Aim server: the same as its repository on a disk, every value, and what is not there."""

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from lmdiag.cli import main
from lmdiag.judging.logs import judge
from lmdiag.judging.reading import find, read
from lmdiag.readers.options import ReadOptions
from lmdiag.trackers import aim
from lmdiag.watching.tracked import TrackedFollower
from tests.trackers.conftest import Proxy, falling, free_port, passing_on, said, wait_for

pytestmark = pytest.mark.slow

WRITE = """
import json, sys
from aim import Run
for name, losses in json.load(sys.stdin).items():
    run = Run(experiment="pretraining", system_tracking_interval=None, log_system_params=False, capture_terminal_logs=False)
    run.name = name
    run.add_tag("team")
    run["hparams"] = {"max_steps": len(losses), "optimizer": {"name": "adam"}}
    run["seed"] = 3
    for step, loss in enumerate(losses):
        run.track(loss, name="loss", step=step, epoch=step // 50, context={"subset": "train"})
        if step % 10 == 9:
            run.track(loss + 0.1, name="loss", step=step, context={"subset": "val"})
    run.close()
"""


@pytest.fixture(scope="module")
def repository():
    """The folder that Aim wrote its runs into."""
    pytest.importorskip("aim", reason="Aim is not installed: its server cannot be started")
    with tempfile.TemporaryDirectory() as folder:
        write(folder, {"healthy": falling(150), "broken": [*falling(100), math.nan, *falling(20, 3)]})
        yield Path(folder)


def write(folder, losses):
    command = [sys.executable, "-c", WRITE]
    subprocess.run(command, input=json.dumps(losses), text=True, cwd=folder, check=True, timeout=300)


@pytest.fixture(scope="module")
def server(repository):
    """An Aim server of these runs, which has seen both of them."""
    port, log = free_port(), repository / "server.log"
    command = [sys.executable, "-c", "from aim.cli.cli import cli_entry_point; cli_entry_point()", "up", "--yes"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--repo", str(repository)]
    environment = os.environ | {"AIM_UI_TELEMETRY_ENABLED": "0"}
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=repository, env=environment, stdout=out, stderr=out, start_new_session=True
        )
    try:
        wait_for(f"http://127.0.0.1:{port}/api/projects/", process, log)
        known(f"aim://127.0.0.1:{port}", 2)
        yield f"127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, 15)
        process.wait(30)


def known(address, count):
    """Wait until the server knows what so many runs hold: it looks for new ones every five seconds."""
    end = time.monotonic() + 120
    while len(judge(address).diagnoses) < count:
        assert time.monotonic() < end
        time.sleep(0.5)


@pytest.fixture
def proxy(server):
    with passing_on(Proxy(f"http://{server}")) as found:
        yield found


def test_the_server_says_the_same_as_its_repository_on_disk(server, repository):
    of_server, of_disk = said(f"aim://{server}/pretraining"), said(repository / ".aim")
    assert of_server == of_disk
    assert {name: run[0] for name, run in of_server.items()} == {"broken": "unhealthy", "healthy": "healthy"}


def test_every_value_in_one_answer(server, proxy):
    found = read(f"aim://{proxy.host}/pretraining/healthy")
    assert found["loss"].values.tolist() == falling(150)
    assert len(found["val/loss"].values) == 15
    assert found.planned_steps == 150
    assert proxy.count("search/metric") == 1


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        ("/nothing", "has no experiment 'nothing'"),
        ('/it"s', "has no experiment"),
        ("/pretraining/nobody", "has no runs there"),
        ("/a/b/c", "names more than an experiment and a run"),
        ("?state=failed", "knows only running and finished runs"),
        ("?state=running", "has no runs that fit"),
        ("?tag=other", "has no runs that fit"),
        ("?until=2020-01-01", "has no runs that fit"),
    ],
)
def test_what_is_not_there(server, rest, message, capsys):
    assert main(["check", f"aim://{server}{rest}"]) == 2
    assert message in " ".join(capsys.readouterr().out.split())


def test_filters(server):
    assert len(find([f"aim://{server}?tag=team&state=finished&since=1h"])[0]) == 2
    assert len(find([f"aim://{server}?limit=1"])[0]) == 1


def test_a_run_that_cannot_be_had_hides_no_other(server, proxy):
    healthy = read(f"aim://{server}/pretraining/healthy").source.rpartition("/")[2]
    proxy.failing = {healthy: [500] * 100}
    report = judge(f"aim://{proxy.host}")
    assert [d.run.name for d in report.diagnoses] == ["broken"]
    assert report.unreadable[0].source.endswith(healthy)


@pytest.mark.parametrize("how", [lambda content: content[:-3], lambda content: b"<html>", lambda content: b"\xff" * 99])
def test_an_answer_that_is_none_is_said(server, monkeypatch, how):
    whole = aim.Service.content

    def broken(self, path, **query):
        content = whole(self, path, **query)
        return how(content) if "search" in path else content

    monkeypatch.setattr(aim.Service, "content", broken)
    (problem,) = judge(f"aim://{server}/pretraining/healthy").unreadable
    assert "not one of such a server" in problem.error


def test_following_asks_for_values_where_there_are_new_ones(server, repository, proxy):
    write(repository, {"grows": falling(60)})
    known(f"aim://{server}/pretraining/grows", 1)
    (source,), _ = find([f"aim://{proxy.host}/pretraining/grows"])
    follower = TrackedFollower(source, ReadOptions(), 0)
    assert (follower.poll(), len(follower.runs()[0]["loss"]), follower.poll()) == (True, 60, False)
    assert proxy.count("search/metric") == 1
    assert follower.ended
