"""Catalyst's loggers: epochs in CSV files and event files, batches where they are asked for."""

from pathlib import Path

from lmdiag.judging.reading import read_runs
from tests.readers.event_writer import event, event_file, simple

TRAINED, EVALUATED = [6.5, 3.75, 3.25, 2.5], [5.5, 3.5, 3.0, 2.75]


def event_files(folder: Path, tags: dict[str, dict[int, float]]) -> None:
    """Write one file for each loader, with its tags one after another."""
    events: dict[str, list[bytes]] = {}
    for tag, values in tags.items():
        loader, _, own = tag.partition("/")
        events.setdefault(loader, []).extend(event(step, simple(own, value)) for step, value in values.items())
    for loader, records in events.items():
        (folder / "tensorboard" / loader).mkdir(parents=True, exist_ok=True)
        (folder / "tensorboard" / loader / "events.out.tfevents.1.host").write_bytes(event_file(*records))


def csv_files(folder: Path) -> None:
    (folder / "csv_logger").mkdir()
    for loader, losses in (("train", TRAINED), ("valid", EVALUATED)):
        rows = "".join(f"{epoch},{loss},{loss + 0.01},0.5,0.05,0.9\n" for epoch, loss in enumerate(losses, 1))
        (folder / "csv_logger" / f"{loader}.csv").write_text(f"step,loss,loss/mean,loss/std,lr,momentum\n{rows}")
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


def test_the_csv_files_alone_are_one_run(tmp_path: Path) -> None:
    csv_files(tmp_path)
    (run,), problems = read_runs([tmp_path])
    assert problems == []
    assert (run["loss"].values.tolist(), run["val/loss"].values.tolist()) == (TRAINED, EVALUATED)
    assert (run.step_kind, "loss/mean" in run) == ("epoch", False)


def test_batches_count_the_samples_and_evaluations_stand_behind_theirs(tmp_path: Path) -> None:
    tags = {
        "train/loss/batch": {8: 6.5, 16: 6.0, 40: 5.5, 48: 5.0},
        "valid/loss/batch": {24: 6.0, 32: 5.5, 56: 5.5, 64: 5.0},
        "train/loss/epoch": {1: 6.25, 2: 5.25},
        "valid/loss/epoch": {1: 5.75, 2: 5.25},
    }
    event_files(tmp_path, tags)
    (run,), _ = read_runs([tmp_path])
    assert (run.step_kind, run["loss"].steps.tolist()) == ("samples", [8, 16, 40, 48])
    assert dict(zip(run["val/loss"].steps.tolist(), run["val/loss"].values.tolist())) == {32: 5.75, 64: 5.25}


def test_the_folders_of_earlier_versions_are_one_run(tmp_path: Path) -> None:
    tags = {
        "train_log/loss/epoch": dict(enumerate(TRAINED, 1)),
        "valid_log/loss/epoch": dict(enumerate(EVALUATED, 1)),
        "_base_log/lr/epoch": dict.fromkeys(range(1, 5), 3e-5),
    }
    event_files(tmp_path, tags)
    (run,), _ = read_runs([tmp_path])
    assert (run.step_kind, run["loss"].values.tolist()) == ("epoch", TRAINED)
    assert run["val/loss"].values.tolist() == EVALUATED
    assert run["lr"].steps.tolist() == [1, 2, 3, 4]
