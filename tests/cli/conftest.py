"""Logs on disk, and a way to run the command line in this process."""

import json
from dataclasses import dataclass

import numpy as np
import pytest

from lmdiag.cli import main


@dataclass(frozen=True)
class Done:
    """What a command did: its exit code, and what it wrote to both streams."""

    code: int
    out: str
    err: str


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """Run a command in a folder of its own, where no settings of this project hold."""
    monkeypatch.chdir(tmp_path)
    for name in ("NO_COLOR", "FORCE_COLOR", "LMDIAG_FORMAT", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "100")

    def run_command(*args):
        code = main([str(arg) for arg in args])
        captured = capsys.readouterr()
        return Done(code, captured.out, captured.err)

    return run_command


def write_log(path, losses, **header):
    path.parent.mkdir(parents=True, exist_ok=True)
    records = [{"type": "run", "schema": "lmdiag-log/1", "run_id": path.stem, "name": path.stem, **header}]
    for step, loss in enumerate(losses, 1):
        record = {"type": "step", "step": step, "loss": loss if np.isfinite(loss) else "NaN"}
        records.append(record)
        if step % 20 == 0:
            val = float(curve(step)) + 0.02
            records.append({"type": "eval", "step": step, "split": "val", "loss": val})
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def falling(n=400):
    return curve(np.arange(1, n + 1)) + np.random.default_rng(0).normal(0, 0.02, n)


def curve(step):
    return 2 + 8 * (1 + step / 20) ** -0.5


@pytest.fixture
def good(tmp_path):
    return write_log(tmp_path / "runs" / "good.jsonl", falling())


@pytest.fixture
def bad(tmp_path):
    losses = falling()
    losses[300:] = np.nan
    return write_log(tmp_path / "runs" / "bad.jsonl", losses)


@pytest.fixture
def spiked(tmp_path):
    """A run with an info finding and nothing worse."""
    losses = falling()
    losses[200] = 9.0
    return write_log(tmp_path / "runs" / "spiked.jsonl", losses)


@pytest.fixture
def broken(tmp_path):
    path = tmp_path / "broken.jsonl"
    path.write_bytes(b"\x00\x01\x02" * 100)
    return path
