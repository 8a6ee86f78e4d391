"""Sockeye's `metrics`: checkpoints, and the updates that the file beside them tells."""

from pathlib import Path

import pytest

from lmdiag.errors import UnreadableLog
from lmdiag.judging.reading import find, read_all, runs_of
from lmdiag.sources.source import Source

ROWS = [(1, 81.8, 71.5), (2, 68.4, 58.1), (3, 57.9, 51.5)]
METRICS = "".join(
    f"{n}\tconverged=False\tdiverged=False\tepoch=0\tlearning-rate=0.0002\tmax-gpu-memory=812"
    f"\tperplexity-train={train}\tperplexity-val={val}\ttime-elapsed={n}.5\n"
    for n, train, val in ROWS
)
LOG = "".join(
    f"[2026-03-04:05:06:0{n}:INFO:sockeye.training:_x] Checkpoint [{n}]\tUpdates={n * 50} Epoch=0 Samples={n * 800}\n"
    f"[2026-03-04:05:06:0{n}:INFO:sockeye.training:_x] Checkpoint [{n}]\tTrain-ppl={train:.6f}\n"
    f"[2026-03-04:05:06:0{n}:INFO:sockeye.training:_x] Checkpoint [{n}]\tValidation-ppl={val:.6f}\n"
    for n, train, val in ROWS
)


def test_checkpoints_are_counted_where_nothing_tells_the_updates() -> None:
    (run,) = runs_of(Source("metrics", content=METRICS.encode()))
    assert (run.format, run.step_kind) == ("sockeye-metrics", "record")
    assert run["ppl"].steps.tolist() == [1, 2, 3]
    assert run["val/ppl"].values.tolist() == [71.5, 58.1, 51.5]
    assert (run["mem_bytes"].values[0], run["elapsed_s"].values[2]) == (812 * 2**20, 3.5)
    assert any("Checkpoints are counted" in note for note in run.notes)


def test_a_line_that_is_none_is_counted() -> None:
    (run,) = runs_of(Source("metrics", content=f"{METRICS}\n4\tconver".encode()))
    assert [(s.line, s.reason) for s in run.skipped] == [(5, "no checkpoint with its measures")]


def test_the_folder_is_one_run(tmp_path: Path) -> None:
    (tmp_path / "metrics").write_text(METRICS)
    (tmp_path / "log").write_text(LOG)
    (tmp_path / "params.00001").write_text("0")
    (run,) = read_all(tmp_path)
    assert run["ppl"].steps.tolist() == [50, 100, 150]
    assert run["val/ppl"].values.tolist() == pytest.approx([71.5, 58.1, 51.5])
    assert run["samples"].values.tolist() == [800, 1600, 2400]


def test_batches_count_updates_where_gradients_are_accumulated() -> None:
    batches = "".join(
        f"[2026-03-04:05:06:0{n}:INFO:sockeye.training:__call__] E=0 B={n * 200 - 80}\ts/sec=62.97 tok/sec=705.2\tppl=8{n}.5 \n"
        for n, *_ in ROWS
    )
    lines = [line for pair in zip(batches.splitlines(), *[iter(LOG.splitlines())] * 3) for line in pair]
    text = "\n".join(["[INFO:sockeye.training] Gradient accumulation over 4 batches.", *lines, ""])
    (run,) = runs_of(Source("log", content=text.encode()))
    assert run["ppl"].steps.tolist() == run["val/ppl"].steps.tolist() == [50, 100, 150]
    assert run["ppl of batches"].steps.tolist() == [30, 80, 130]
    assert run["s/sec"].values.tolist() == [62.97] * 3
    assert run.config["grad_accum"] == 4


def test_files_of_those_names_that_are_no_logs(tmp_path: Path) -> None:
    (tmp_path / "metrics").write_text("accuracy of the last model: good\n")
    sources, problems = find([tmp_path])
    assert sources == []
    assert all(isinstance(problem, UnreadableLog) for problem in problems)
