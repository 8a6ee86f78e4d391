"""A log that grows under a watch with a clock of its own, and what the watch tells."""

import json
import os
import time

import numpy as np
import pytest

from lmdiag.cli.watch import watch_on
from lmdiag.watching import watch

OPTIONS = {
    **dict.fromkeys(("select", "extend_select", "ignore", "config", "mapping", "notify"), ()),
    **dict.fromkeys(("reader", "pattern", "fail_on", "baseline", "command", "pid")),
    **dict.fromkeys(("until_error", "verbose", "exit_zero", "dry_run"), False),
    "isolated": True,
    "color": "never",
    "shape": "jsonl",
}


HEADER = '{"type":"run","schema":"lmdiag-log/1","run_id":"a"}\n'


END = '{"type":"end","status":"%s","step":400}\n'


@pytest.fixture
def told(capsys):
    """What was told since the last call."""

    def records():
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return records


@pytest.fixture
def growing(tmp_path, monkeypatch):
    """A log that grows, and a watch on it with a clock of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(watch, "SPARED", 0)

    class Growing:
        path = tmp_path / "run.jsonl"
        now = 1000.0

        def watch(self, stall=None, every=10.0, **options):
            self.watch_now = watch_on("run.jsonl", every, stall, OPTIONS | options)

        def add(self, losses, first=1):
            records = [
                {"type": "step", "step": s, "loss": x if np.isfinite(x) else "NaN"} for s, x in enumerate(losses, first)
            ]
            self.write("".join(json.dumps(record) + "\n" for record in records))

        def write(self, text):
            if not self.path.exists() and not text.startswith(HEADER):
                text = HEADER + text
            with self.path.open("a") as file:
                file.write(text)

        def later(self, wait=20.0):
            """Let time go by since the log was last written to, and take a turn."""
            self.now += wait
            if self.path.exists():
                os.utime(self.path, (time.time() - wait,) * 2)
            return self.watch_now.turn(self.now)

    return Growing()


def kinds(records):
    return [record["type"] for record in records]
