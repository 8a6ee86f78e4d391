"""What two processes of one training write at once with the real libraries: one run where the files tell the ranks, else a run each."""

import subprocess
import sys
from pathlib import Path

import pytest

from lmdiag.judging.reading import read_runs
from lmdiag.run import Run

STEPS = 60
LOGGERS = {
    "jsonl": """
import json
file = open(f"{folder}/metrics_rank{rank}.jsonl", "w", buffering=1)
log = lambda step, values: file.write(json.dumps({"step": step, **values}) + "\\n")
end = file.close
""",
    "one file": """
import json
file = open(f"{folder}/metrics.jsonl", "a", buffering=1)
log = lambda step, values: file.write(json.dumps({"step": step, "rank": rank, **values}) + "\\n")
end = file.close
""",
    "tensorboard": """
from torch.utils.tensorboard import SummaryWriter
writer = SummaryWriter(f"{folder}/rank{rank}")
log = lambda step, values: [writer.add_scalar(name, value, step) for name, value in values.items()]
end = writer.close
""",
    "wandb": """
import wandb
settings = wandb.Settings(console="off", x_disable_stats=True, x_disable_meta=True, disable_git=True)
made = wandb.init(project="p", group="g", name=f"rank-{rank}", dir=folder, mode="offline", settings=settings)
log = lambda step, values: made.log(values, step=step)
end = made.finish
""",
    "trackio": """
import os
os.environ["TRACKIO_DIR"] = folder
import trackio
trackio.init(project="p", group="g", name=f"rank-{rank}")
log = lambda step, values: trackio.log(values, step=step)
end = trackio.finish
""",
    "mlflow": """
import mlflow
mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
mlflow.start_run(run_name=f"rank-{rank}")
log = lambda step, values: mlflow.log_metrics(values, step=step)
end = mlflow.end_run
""",
    "one run of mlflow": """
import time
from pathlib import Path
import mlflow
mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
mlflow.start_run(run_id=Path(folder, "run_id").read_text())
def log(step, values):
    mlflow.log_metrics(values, step=step)
    Path(folder, f"{rank}-{step}").touch()
    while not Path(folder, f"{1 - rank}-{step}").exists():  # a step of one rank waits for that of the other
        time.sleep(0.005)
end = lambda: None
""",
}
TRAINING = """
import math, os, signal, sys
folder, rank, last = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
LOGGER
for step in range(1, last + 1):
    log(step, {"train/loss": 2 + 4 * math.exp(-step / 20) + 0.01 * rank, "train/lr": 0.003})
if last < STEPS:
    os.kill(os.getpid(), signal.SIGKILL)
end()
"""


def runs(folder: Path, kind: str, *lasts: int) -> list[Run]:
    """Return the runs that processes wrote, which end after these steps, some of them killed."""
    program = TRAINING.replace("LOGGER", LOGGERS[kind]).replace("STEPS", str(STEPS))
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program, folder, str(rank), str(last)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for rank, last in enumerate(lasts)
    ]
    assert [process.wait(timeout=180) for process in started] == [0 if last == STEPS else -9 for last in lasts]
    found, problems = read_runs([folder])
    assert problems == []
    return found


@pytest.mark.parametrize("kind", ["jsonl", "one file", pytest.param("tensorboard", marks=pytest.mark.slow)])
def test_ranks_that_the_files_tell_are_one_run(tmp_path: Path, kind: str) -> None:
    if kind == "tensorboard":
        pytest.importorskip("torch.utils.tensorboard")
    whole = runs(tmp_path, kind, STEPS, STEPS)
    assert len(whole) == 1
    assert whole[0]["loss"].steps.tolist() == list(range(1, STEPS + 1))
    assert whole[0]["loss"].values[0] == pytest.approx(2 + 4 * 0.951229 + 0.005, abs=1e-5)
    assert "The loss is the mean of 2 ranks." in whole[0].notes


@pytest.mark.parametrize("kind", ["jsonl", "one file"])
def test_ranks_that_are_killed_are_one_run(tmp_path: Path, kind: str) -> None:
    (run,) = runs(tmp_path, kind, STEPS - 1, STEPS - 2)
    assert len(run["loss"]) == STEPS - 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["wandb", "trackio"])
def test_processes_of_a_group_are_a_run_each(tmp_path: Path, kind: str) -> None:
    pytest.importorskip(kind)
    found = runs(tmp_path, kind, STEPS, STEPS)
    assert [run.name.rpartition("#")[2] for run in sorted(found, key=lambda run: run.name)] == ["rank-0", "rank-1"]
    assert {len(run["loss"]) for run in found} == {STEPS}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mlflow", "one run of mlflow"])
def test_processes_that_log_to_one_database(tmp_path: Path, kind: str) -> None:
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    mlflow.set_experiment("Default")  # makes the tables
    if kind == "mlflow":
        first, second = runs(tmp_path, kind, STEPS, STEPS)
        assert {run.name.rpartition("#")[2] for run in (first, second)} == {"rank-0", "rank-1"}
        assert len(first["loss"]) == len(second["loss"]) == STEPS
        return
    with mlflow.start_run() as made:
        (tmp_path / "run_id").write_text(made.info.run_id)
    (run,) = runs(tmp_path, kind, STEPS, STEPS)
    assert run["loss"].steps.tolist() == list(range(1, STEPS + 1))
    assert run["loss"].values[0] == pytest.approx(2 + 4 * 0.951229 + 0.005, abs=1e-5)
    assert set(run["lr"].values) == {0.003}
