"""A run that its trainer reports to TensorBoard, MLflow and W&B at once is one run, also where a kill cut each elsewhere."""

from pathlib import Path

import numpy as np
import pytest

from lmdiag.judging.reading import read_runs
from lmdiag.run import Run
from tests.readers.event_writer import event, event_file, simple
from tests.readers.test_mlflow import store
from tests.readers.wandb_writer import history, run, wandb_file
from tests.rules.curves import falling

LOSS = falling(60)
LOSS[57:] = np.nan
KEPT = {"tensorboard": 40, "wandb": 50, "mlflow": 60}
TENSORBOARD = "runs/Nov30_10-00-00_host"


def left(folder: Path, output: str, of_wandb: np.ndarray = LOSS) -> None:
    """Write what the three keep of a run that was killed at step 60; MLflow alone has its settings."""
    events = folder / output / TENSORBOARD
    events.mkdir(parents=True)
    steps = list(enumerate(LOSS.tolist(), 1))
    content = event_file(*(event(step, simple("train/loss", loss)) for step, loss in steps[: KEPT["tensorboard"]]))
    (events / "events.out.tfevents.1700000000.host").write_bytes(content)
    of_run = folder / "wandb" / "offline-run-20261130_100000-abc"
    of_run.mkdir(parents=True)
    kept = list(enumerate(of_wandb.tolist(), 1))[: KEPT["wandb"]]
    content = wandb_file(run("abc"), *(history(step, loss=loss, grad_norm=1 + loss / 9) for step, loss in kept))
    (of_run / "run-abc.wandb").write_bytes(content)
    kept_by_mlflow = "".join(f"{1000 * step} {loss} {step}\n" for step, loss in steps)
    mlruns = store(folder, {"loss": kept_by_mlflow})
    params = next(mlruns.glob("0/*/metrics")).parent / "params"
    params.mkdir()
    (params / "max_steps").write_text("100")


def read(folder: Path) -> list[Run]:
    runs, problems = read_runs([folder])
    assert problems == []
    return runs


@pytest.mark.parametrize("output", ["", "out"])
def test_one_run(tmp_path, output):
    left(tmp_path, output)
    (found,) = read(tmp_path)
    np.testing.assert_equal(found["loss"].values, LOSS)
    assert found["loss"].steps.tolist() == list(range(1, 61))
    assert len(found["grad_norm"]) == KEPT["wandb"]
    assert found.config["max_steps"] == 100
    assert sum("holds the same run" in note for note in found.notes) == 2


def test_another_seed_in_one_of_them_stays_another_run(tmp_path):
    other = falling(60) + np.random.default_rng(1).normal(0, 0.02, 60)
    left(tmp_path, "", of_wandb=other)
    seed, same = sorted(read(tmp_path), key=lambda found: "grad_norm" not in found)
    np.testing.assert_equal(seed["loss"].values, other[: KEPT["wandb"]])
    np.testing.assert_equal(same["loss"].values, LOSS)
    assert "max_steps" not in seed.config
