"""Progress is shown on a terminal, not at once, not elsewhere, and leaves nothing behind."""

import io

import pytest

from lmdiag.cli import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def written(stream, clock, monkeypatch, moments):
    monkeypatch.setattr("sys.stderr", stream)
    with progress.Progress("logs read") as shown:
        for done, moment in enumerate(moments, 1):
            clock[0] = 100.0 + moment
            shown.tell(done, 1000)
    return stream.getvalue()


def test_a_quick_command_shows_nothing(clock, monkeypatch):
    assert written(Terminal(), clock, monkeypatch, [0.1, 1.0, 1.9]) == ""


def test_a_long_one_counts_and_cleans_up(clock, monkeypatch):
    text = written(Terminal(), clock, monkeypatch, [1.0, 2.5, 2.51, 2.7])
    assert text == "\r\x1b[Klmdiag: 2 of 1,000 logs read\r\x1b[Klmdiag: 4 of 1,000 logs read\r\x1b[K"


def test_a_file_gets_nothing(clock, monkeypatch):
    assert written(io.StringIO(), clock, monkeypatch, [3.0, 4.0]) == ""
