"""MMEngine's `vis_data/`: the rows of evaluations, which count epochs or nothing at all."""

import json
import shutil
from pathlib import Path

import pytest

from lmdiag.judging.reading import read_runs
from lmdiag.run import Run

STORE = Path(__file__).parent / "stores" / "mmengine" / "log" / "whole" / "work"


def trained(step: int, **more: float) -> dict[str, float]:
    return {"lr": 1e-3, "data_time": 0.01, "loss": 9 - 0.1 * step, "time": 0.5, **more, "iter": step, "step": step}


def evaluated(step: int) -> dict[str, float]:
    return {"loss": 5.0, "accuracy": 0.5, "data_time": 0.001, "time": 0.01, "step": step}


def run_of(tmp_path: Path, rows: list[dict[str, float]], name: str = "scalars.json") -> Run:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (run,), problems = read_runs([tmp_path])
    assert problems == []
    return run


@pytest.mark.parametrize(
    ("said", "meant"),
    [([0, 0], [20, 40]), ([20, 40], [20, 40]), ([22, 44], [22, 44])],
    ids=["nothing", "rows", "steps"],
)
def test_evaluations_of_a_run_that_counts_iterations(tmp_path: Path, said: list[int], meant: list[int]) -> None:
    first, second = ([trained(step) for step in steps] for steps in ((10, 20), (30, 40)))
    run = run_of(tmp_path, [*first, evaluated(said[0]), *second, evaluated(said[1])])
    assert run["loss"].steps.tolist() == [10, 20, 30, 40]
    assert run["val/loss"].steps.tolist() == run["val/accuracy"].steps.tolist() == meant


def test_evaluations_stand_at_the_end_of_their_epoch(tmp_path: Path) -> None:
    """An epoch has 25 steps, of which every tenth is logged."""
    epochs = [[trained(25 * epoch + step, epoch=epoch + 1) for step in (10, 20)] for epoch in range(3)]
    run = run_of(tmp_path, [row for n, rows in enumerate(epochs, 1) for row in (*rows, evaluated(n))])
    assert run["val/loss"].steps.tolist() == [25, 50, 75]
    assert run["step_time_s"].values.tolist() == [0.5] * 6


def test_an_epoch_of_unknown_length_ends_at_its_last_row(tmp_path: Path) -> None:
    run = run_of(tmp_path, [trained(10, epoch=1), trained(20, epoch=1), evaluated(1)])
    assert run["val/loss"].steps.tolist() == [20]


@pytest.mark.parametrize("pattern", ["*/vis_data/scalars.json", "*/vis_data/events.out.*"])
def test_a_file_alone_tells_training_and_evaluation_apart(pattern: str) -> None:
    (path,) = STORE.glob(pattern)
    (run,), _ = read_runs([path])
    assert len(run["loss"]) == 40
    assert run["val/loss"].steps.tolist() == [10, 20, 30, 40]


def test_a_plan_in_iterations(tmp_path: Path) -> None:
    config = tmp_path / "20260101_101010" / "vis_data" / "config.py"
    rows = [trained(step) for step in (10, 20)]
    config.parent.mkdir(parents=True)
    config.write_text("train_cfg = dict(by_epoch=False, max_iters=500)\nbatch = len(names)\n")
    run = run_of(tmp_path, rows, "20260101_101010/vis_data/20260101_101010.json")
    assert (run.planned_steps, run.config["config"]["batch"]) == (500, None)


def test_a_config_that_is_no_python_is_left(tmp_path: Path) -> None:
    config = tmp_path / "20260101_101010" / "vis_data" / "config.py"
    config.parent.mkdir(parents=True)
    config.write_text("train_cfg = dict(by_epoch=")
    run = run_of(tmp_path, [trained(10), trained(20)], "20260101_101010/vis_data/20260101_101010.json")
    assert run.planned_steps == 0


def test_two_trainings_in_one_work_folder_stay_two(tmp_path: Path) -> None:
    for start in ("20260101_101010", "20260102_101010"):
        folder = tmp_path / start / "vis_data"
        folder.mkdir(parents=True)
        rows = [trained(step, loss=9 - 0.1 * step + int(start[7]) / 10) for step in range(10, 80, 10)]
        (folder / f"{start}.json").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    runs, _ = read_runs([tmp_path])
    assert [len(run["loss"]) for run in runs] == [7, 7]


def test_a_config_that_cannot_be_parsed_costs_only_the_settings(tmp_path: Path) -> None:
    shutil.copytree(STORE, tmp_path / "work")
    (config,) = tmp_path.rglob("config.py")
    config.write_text(f"x = {50_000 * '-'}1\n")
    (run,), problems = read_runs([tmp_path])
    assert (len(run["loss"].values), problems) == (40, [])
