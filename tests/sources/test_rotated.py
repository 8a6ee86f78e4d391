"""Logs that the handlers of the standard library cut while they grow are read as one; other numbers behind a name are none."""

import gzip
import logging
import logging.handlers
import math
from collections.abc import Iterable
from pathlib import Path

import pytest

from lmdiag.config import Settings
from lmdiag.judging.logs import judge
from lmdiag.judging.reading import read_runs
from lmdiag.run import Run

STEPS = range(1, 201)


def logged(handler: logging.Handler, steps: Iterable[int] = STEPS, rise: float = 0.0) -> None:
    """Log what a training says of its steps."""
    logger = logging.Logger("training")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger.addHandler(handler)
    for step in steps:
        logger.info("step %d loss %.4f", step, 2 + rise + 4 * math.exp(-step / 30) + 0.01 * math.sin(step))
    handler.close()


def runs_in(folder: Path) -> list[Run]:
    runs, problems = read_runs([folder])
    assert problems == []
    return runs


@pytest.mark.parametrize("packed", [False, True])
def test_a_log_that_was_cut_by_its_size(tmp_path: Path, packed: bool) -> None:
    logged(logging.handlers.RotatingFileHandler(tmp_path / "train.log", maxBytes=600, backupCount=99))
    older = sorted(tmp_path.glob("train.log.*"))
    assert len(older) > 10  # so that 10 comes before 2 by its letters
    if packed:
        for path in older[1:]:
            path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
            path.unlink()
    (run,) = runs_in(tmp_path)
    assert run["loss"].steps.tolist() == list(STEPS)
    assert (run.source, run.skipped, len(run.segments)) == (f"{tmp_path}/train.log", (), 1)
    assert any("train.log.1 read in front of it" in note for note in run.notes)
    assert len(judge([tmp_path], Settings()).diagnoses) == 1


def test_a_log_that_was_cut_each_night(tmp_path: Path) -> None:
    for day, first in enumerate((1, 81, 161), 1):
        logged(logging.FileHandler(tmp_path / f"train.log.2026-03-0{day}"), range(first, min(first + 80, 201)))
    (tmp_path / "train.log.2026-03-03").rename(tmp_path / "train.log")
    assert [run["loss"].steps.tolist() for run in runs_in(tmp_path)] == [list(STEPS)]


def test_a_part_that_ends_within_a_line_costs_that_line_alone(tmp_path: Path) -> None:
    logged(logging.FileHandler(tmp_path / "train.log.1"), range(1, 101))
    logged(logging.FileHandler(tmp_path / "train.log"), range(101, 201))
    path = tmp_path / "train.log.1"
    path.write_bytes(path.read_bytes()[:-14])
    (run,) = runs_in(tmp_path)
    assert sorted(set(STEPS) - set(run["loss"].steps.tolist())) == [100]


def test_another_run_in_the_older_part_is_a_run(tmp_path: Path) -> None:
    logged(logging.FileHandler(tmp_path / "train.log.1"), rise=0.5)
    logged(logging.FileHandler(tmp_path / "train.log"))
    assert [run["loss"].steps.tolist() for run in runs_in(tmp_path)] == [list(STEPS)] * 2


def test_numbers_that_leave_one_out_are_no_ages(tmp_path: Path) -> None:
    logged(logging.FileHandler(tmp_path / "train.log"), range(1, 101))
    for seed in (3, 7):
        logged(logging.FileHandler(tmp_path / f"train.log.{seed}"), range(1, 51))
    assert [run["loss"].steps.tolist() for run in runs_in(tmp_path)] == [list(range(1, 101))]
