"""DVCLive under the Trainer of transformers, whose callback gives each record a step more."""

import itertools
from pathlib import Path

import pytest

from lmdiag.judging.reading import read_runs
from lmdiag.run import Run

SETTINGS = {"per_device_train_batch_size": 8, "logging_strategy": "steps", "logging_steps": 5, "max_steps": 40}


def run_of(folder: Path, per_epoch: int = 8, **settings: object) -> Run:
    """Read what the callback leaves of a training of 40 steps that logs every fifth, and evaluates every tenth."""
    call, files = itertools.count(), {}
    for step in range(5, 41, 5):
        records = [{"loss": 9 - step / 10, "learning_rate": 0.001}]
        records += [{"eval/loss": 9.5 - step / 10}] if step % 10 == 0 else []
        records += [{"train/runtime": 60.0}] if step == 40 else []
        for record in records:
            at = next(call)
            for name, value in {**record, "epoch": step / per_epoch}.items():
                files.setdefault(f"plots/metrics/{name}.tsv", "step\tvalue\n")
                files[f"plots/metrics/{name}.tsv"] += f"{at}\t{value}\n"
    files["metrics.json"] = "{}"
    files["params.yaml"] = "".join(f"{name}: {value}\n" for name, value in {**SETTINGS, **settings}.items())
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    (run,), problems = read_runs([folder])
    assert problems == []
    return run


@pytest.mark.parametrize("per_epoch", [8, 3, 1000])
def test_steps_are_those_of_the_training(tmp_path, per_epoch):
    run = run_of(tmp_path, per_epoch)
    assert dict(zip(run["loss"].steps.tolist(), run["loss"].values.tolist())) == {
        s: 9 - s / 10 for s in range(5, 41, 5)
    }
    assert run["val/loss"].steps.tolist() == [10, 20, 30, 40]
    assert run.last_step == run.planned_steps == 40
    assert any("transformers counts its records" in note for note in run.notes)


@pytest.mark.parametrize("settings", [{"logging_strategy": "epoch"}, {"logging_steps": 0.1}])
def test_steps_that_do_not_follow_stay_as_they_are(tmp_path, settings):
    assert run_of(tmp_path, **settings)["loss"].steps.tolist() == [0, 1, 3, 4, 6, 7, 9, 10]
