"""Catalyst's loggers: epochs in CSV files and event files, batches where they are asked for."""

from pathlib import Path

from lmdiag.judging.reading import read_runs
from tests.readers.event_writer import event, event_file, simple

TRAINED, EVALUATED = [6.5, 3.75, 3.25, 2.5], [5.5, 3.5, 3.0, 2.75]


def event_files(folder: Path, tags: dict[str, dict[int, float]]) -> None:
    for tag, values in tags.items():
        loader, _, own = tag.partition("/")
        (folder / "tensorboard" / loader).mkdir(parents=True, exist_ok=True)
        content = event_file(*(event(step, simple(own, value)) for step, value in values.items()))
        (folder / "tensorboard" / loader / "events.out.tfevents.1.host").write_bytes(content)


def csv_files(folder: Path) -> None:
    (folder / "csv_logger").mkdir()
    for loader, losses in (("train", TRAINED), ("valid", EVALUATED)):
        rows = "".join(f"{epoch},{loss}\n" for epoch, loss in enumerate(losses, 1))
        (folder / "csv_logger" / f"{loader}.csv").write_text(f"step,loss\n{rows}")
    (folder / "csv_logger" / "_epoch_.csv").write_text("step\n1\n2\n3\n4\n")


def test_training_and_evaluation_of_both_loggers_are_one_run(tmp_path: Path) -> None:
    epochs = {"train/loss/epoch": TRAINED, "valid/loss/epoch": EVALUATED}
    event_files(tmp_path, {tag: dict(enumerate(values, 1)) for tag, values in epochs.items()} | {"_epoch_/none": {}})
    csv_files(tmp_path)
    (run,), problems = read_runs([tmp_path])
    assert problems == []
    assert run.step_kind == "epoch"
    assert run["loss"].values.tolist() == TRAINED
    assert run["val/loss"].values.tolist() == EVALUATED


def test_evaluations_keep_the_mean_of_their_batches(tmp_path: Path) -> None:
    tags = {"train/loss/batch": {1: 6.5, 2: 6.0, 5: 5.5, 6: 5.0}, "valid/loss/epoch": {4: 5.75, 8: 5.25}}
    event_files(tmp_path, tags)
    (run,), _ = read_runs([tmp_path])
    assert run.step_kind == "step"
    assert run["loss"].steps.tolist() == [1, 2, 5, 6]
    assert run["val/loss"].values.tolist() == [5.75, 5.25]
