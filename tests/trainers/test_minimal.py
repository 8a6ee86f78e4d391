"""The flat file that teaches training runs alone, stays short, and writes a log that is read whole."""

import runpy
from pathlib import Path

import pytest

import lmdiag

FILE = Path(__file__).parents[2] / "trainers" / "minimal.py"


def test_it_fits_on_two_pages():
    assert len(FILE.read_text().splitlines()) <= 150


def test_it_trains_and_writes(tmp_path, monkeypatch, capsys):
    pytest.importorskip("torch")
    short = FILE.read_text().replace("STEPS, ROWS, CONTEXT = 600, 32, 64", "STEPS, ROWS, CONTEXT = 100, 16, 32")
    assert short != FILE.read_text()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "minimal.py").write_text(short)
    runpy.run_path(str(tmp_path / "minimal.py"))
    run = lmdiag.read(tmp_path / "minimal.jsonl")
    assert (len(run["loss"]), len(run["val/loss"]), run.complete) == (100, 3, True)
    assert run["val/loss"].values[-1] < run["val/loss"].values[0] - 1
    assert "step 100: loss" in capsys.readouterr().out
