"""`lmdiag watch --pid`: the watch ends with the process that trains."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lmdiag.errors import BadSetting
from lmdiag.watching.process import has_ended
from tests.cli.conftest import falling
from tests.cli.watch.conftest import END


@pytest.fixture
def process():
    """A process that runs until its standard input is closed."""
    started = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    yield started
    started.kill()
    started.communicate()


NO_PID = pytest.mark.skipif(os.name == "nt", reason="Windows does not tell whether a process runs")


@NO_PID
@pytest.mark.parametrize(
    ("end", "code", "said"),
    [
        ("", 0, "the process ended, and the log does not say how: healthy"),
        (END % "completed", 0, "the run ended: healthy"),
        (END % "crashed", 1, "the run ended: unhealthy"),
    ],
)
def test_the_watch_ends_with_the_process_when_the_rest_is_read(growing, told, process, end, code, said):
    growing.watch(pid=process.pid)
    growing.add(falling(300))
    assert growing.later() is None
    process.kill()
    process.wait()
    growing.add(falling(310)[300:], 301)
    growing.write(end)
    assert growing.later(0.1) == code
    ended = told()[-1]
    assert (ended["type"], ended["message"]) == ("ended", said)
    assert ended["step"] == 310


@NO_PID
def test_what_a_process_wrote_last_is_judged_though_its_line_has_no_end(growing, told, process):
    growing.watch(pid=process.pid)
    growing.add(falling(300))
    growing.later()
    process.kill()
    process.wait()
    growing.write('{"type":"step","step":301,"loss":"NaN"}')
    assert growing.later(0.1) == 1
    assert "non-finite-loss" in {record.get("rule") for record in told()}


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux shows the states of processes there")
def test_a_zombie_has_ended(process):
    assert not has_ended(process.pid)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert has_ended(process.pid)


def test_windows_cannot_follow_a_process(growing, monkeypatch):
    monkeypatch.setattr("lmdiag.cli.watch.on_windows", lambda: True)
    with pytest.raises(BadSetting, match="Windows"):
        growing.watch(pid=1)
