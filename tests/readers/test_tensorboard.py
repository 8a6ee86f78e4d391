"""Event files and folders become runs: tags, folders, restarts, settings; equal to what TensorBoard itself reads."""

import json
import time
from pathlib import Path

import numpy as np
import pytest

from lmdiag.errors import UnreadableLog
from lmdiag.gather import run_of
from lmdiag.judging.reading import find, runs_of
from lmdiag.readers.rawlog import RawLog
from lmdiag.readers.tensorboard.reader import can_read, read
from lmdiag.sources.source import Source
from tests.readers.event_writer import START, curve, event, event_file, float_tensor, simple, text

NAME = "events.out.tfevents.1700000000.host"


def save(folder: Path, *events: bytes, name: str = f"{NAME}.1.0") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(event_file(*events))
    return folder


def folder_log(folder: Path) -> RawLog:
    (log,) = read(Source(f"{folder}/", folder))
    return log


def steps_of(log: RawLog, column: str) -> list[float]:
    return log.columns["step"].values[log.columns[column].rows].tolist()


def test_recognised_by_content_and_not_by_name_alone():
    assert can_read("a.bin", event_file())
    assert not can_read(NAME, b'{"loss": 1}')
    assert can_read("run/", b"\nevents.out.tfevents.1.h\n")
    assert can_read("run/", b"\ntrain/events.out.tfevents.1.h.v2\n")
    assert not can_read("runs/", b"\nversion_0/events.out.tfevents.1.h\n")


def test_one_row_per_step_however_tags_are_written(tmp_path):
    events = [event(s, simple(tag, s)) for s in (1, 2) for tag in ("loss", "lr")] + [event(1, simple("val", 7))]
    log = folder_log(save(tmp_path, *events))
    assert log.n_rows == 2
    assert steps_of(log, "loss") == steps_of(log, "lr") == [1, 2]
    assert steps_of(log, "val") == [1]


def test_a_restart_is_a_stretch_of_its_own(tmp_path):
    save(tmp_path, *curve("loss", range(1, 50)), name=f"{NAME}.1.0")
    save(
        tmp_path, *curve("loss", range(40, 80), value=2.0, time=5000.0), name="events.out.tfevents.1700009999.host.2.0"
    )
    (run,) = runs_of(Source(f"{tmp_path}/", tmp_path))
    assert [(s.first_step, s.last_step) for s in run.segments] == [(1, 49), (40, 79)]
    assert len(run["loss"]) == 79
    assert run.superseded["loss"].steps.tolist() == list(range(40, 50))
    assert [e.step for e in run.events if e.kind == "restart"] == [40]


def test_a_second_file_of_the_same_process_is_no_restart(tmp_path):
    save(tmp_path, *curve("loss", range(1, 9)), event(9, simple("eval/loss", 1)), name=f"{NAME}.77.0")
    save(tmp_path, event(9, simple("eval/loss", 2)), name="events.out.tfevents.1700000900.host.77.1")
    assert folder_log(tmp_path).events == ()


def test_tags_that_count_epochs_are_no_restart(tmp_path):
    events = [
        e
        for epoch in range(3)
        for e in (*curve("step_loss", range(epoch * 9, epoch * 9 + 9)), event(epoch, simple("f1", 1)))
    ]
    (run,) = runs_of(Source(f"{tmp_path}/", save(tmp_path, *events)))
    assert len(run.segments) == 1
    assert len(run["loss"]) == 27


def test_keras_folders_are_one_run_by_epochs(tmp_path):
    save(
        tmp_path / "train",
        *(event(e, float_tensor("epoch_loss", 3 - e, "scalars")) for e in range(3)),
        name=f"{NAME}.1.0.v2",
    )
    evaluations = [event(e, float_tensor("epoch_loss", 4 - e, "scalars")) for e in range(3)]
    evaluations += [event(100 * e, float_tensor("evaluation_loss_vs_iterations", 4 - e)) for e in range(3)]
    save(tmp_path / "validation", *evaluations, name=f"{NAME}.1.1.v2")
    sources, _ = find([tmp_path])
    (run,) = runs_of(sources[0])
    assert (len(sources), run.step_kind) == (1, "epoch")
    assert run["loss"].steps.tolist() == run["val/loss"].steps.tolist() == [1, 2, 3]
    assert run["val/loss"].values.tolist() == [4, 3, 2]


def test_keras_with_batches_counts_batches(tmp_path):
    train = [*curve("batch_loss", range(30)), *(event(e, float_tensor("epoch_loss", 1)) for e in range(3))]
    save(tmp_path / "train", *train)
    save(tmp_path / "validation", *(event(10 * e, simple("evaluation_loss_vs_iterations", 1)) for e in range(3)))
    (run,) = runs_of(Source(f"{tmp_path}/", tmp_path))
    assert run.step_kind == "step"
    assert (len(run["loss"]), run["val/loss"].steps.tolist()) == (30, [0, 10, 20])


def test_add_scalars_folders_belong_to_the_run_above(tmp_path):
    save(tmp_path, *curve("lr", range(5)))
    save(tmp_path / "loss_train", *curve("loss", range(5)))
    save(tmp_path / "loss_val", *curve("loss", range(5)))
    save(tmp_path / "version_1", *curve("loss", range(5)))
    sources, _ = find([tmp_path])
    assert [s.name for s in sources] == [f"{tmp_path}/", f"{tmp_path}/version_1/"]
    (run,) = runs_of(sources[0])
    assert {"loss", "val/loss", "lr"} <= set(run.series)


def test_add_scalars_of_a_tag_that_the_run_above_has_too(tmp_path):
    save(tmp_path, *curve("loss", range(5), 3.0))
    save(tmp_path / "loss_train", *curve("loss", range(5), 4.0))
    save(tmp_path / "loss_val", *curve("loss", range(5), 5.0))
    (source,), _ = find([tmp_path])
    (run,) = runs_of(source)
    firsts = {name: run[name].values[0] for name in run.series if name != "time"}
    assert firsts == {"loss": 3, "loss/train": 4, "val/loss": 5}


def test_add_scalars_of_the_writer_of_a_split(tmp_path):
    save(tmp_path / "train", *curve("loss", range(5), 3.0))
    save(tmp_path / "train" / "parts_ce", *curve("parts", range(5), 4.0))
    save(tmp_path / "valid", *curve("loss", range(5), 5.0))
    (source,), _ = find([tmp_path])
    (run,) = runs_of(source)
    firsts = {name: run[name].values[0] for name in run.series if name != "time"}
    assert firsts == {"loss": 3, "train/parts/ce": 4, "val/loss": 5}


def test_fairseq_counts_bits(tmp_path):
    for folder, value in (("train_inner", 8.0), ("train", 7.0), ("valid", 6.0)):
        save(tmp_path / folder, *(event(s, simple("loss", value + 1), simple("nll_loss", value)) for s in (10, 20)))
    (run,) = runs_of(Source(f"{tmp_path}/", tmp_path))
    assert run["loss"].values.tolist() == pytest.approx([8 * np.log(2)] * 2)
    assert run["val/loss"].values.tolist() == pytest.approx([6 * np.log(2)] * 2)
    assert run["loss"].source_unit == "bits"


def test_settings_from_text(tmp_path):
    args = json.dumps({"max_grad_norm": 1.0, "max_steps": 500, "bf16": True})
    log = folder_log(save(tmp_path, event(None, text("args", args)), event(1, simple("loss", 1))))
    config = run_of(log).config
    assert (config["grad_clip"], config["max_steps"], config["precision"]) == (1.0, 500, "bf16")


def test_megatron_names(tmp_path):
    tags = ["lm loss", "lm loss vs samples", "lm loss validation", "lm loss validation ppl", "grad-norm"]
    (run,) = runs_of(Source(f"{tmp_path}/", save(tmp_path, *(event(s, *(simple(t, s) for t in tags)) for s in (1, 2)))))
    assert set(run.series) == {"loss", "val/loss", "val/ppl", "grad_norm", "time"}


def test_a_tag_called_step(tmp_path):
    log = folder_log(save(tmp_path, *(event(s, simple("step", 5), simple("loss", 1)) for s in (1, 2))))
    assert log.columns[log.step_column].values.tolist() == [1, 2]


def test_damage_is_told_with_its_file(tmp_path):
    save(tmp_path, *curve("loss", range(9)))
    damaged = bytearray(event_file(*curve("loss", range(9, 20))))
    damaged[-10] ^= 1
    (tmp_path / "events.out.tfevents.1700000500.host").write_bytes(damaged)
    (skip,) = folder_log(tmp_path).skipped
    assert "events.out.tfevents.1700000500.host: damaged record" in skip.reason


@pytest.mark.parametrize("content", [b"", b"no events at all, but text", START[:-1]])
def test_what_cannot_be_read(content):
    with pytest.raises(UnreadableLog, match="no sound TensorBoard record"):
        read(Source(NAME, content=content))


def test_no_scalars_are_said():
    assert read(Source(NAME, content=START))[0].notes == ("There is no scalar in the event files.",)


def accumulated(folder: Path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = accumulator.EventAccumulator(
        str(folder), size_guidance={"scalars": 0, "tensors": 0}, purge_orphaned_data=False
    )
    return found.Reload()


def test_equal_to_tensorboard_bit_for_bit(tmp_path):
    writer = pytest.importorskip("torch.utils.tensorboard").SummaryWriter(str(tmp_path))
    random = np.random.default_rng(0)
    for step in range(300):
        for tag in ("train/loss", "train/lr", "weird tag é"):
            writer.add_scalar(tag, random.choice([random.normal(), np.nan, np.inf, 1e-30]), step * 1000)
        if step % 50 == 0:
            writer.add_scalar("eval/loss", float(step), step * 1000, new_style=True)
            writer.add_histogram("weights", random.normal(size=20), step)
            writer.add_text("notes", "words", step)
    writer.add_hparams({"lr": 0.1, "name": "x"}, {"metric": 1.0}, run_name="123456789.5")
    writer.close()
    expected = accumulated(tmp_path)
    log = folder_log(tmp_path)
    for tag in expected.Tags()["scalars"]:
        points = expected.Scalars(tag)
        assert steps_of(log, tag) == [p.step for p in points]
        assert log.columns[tag].values.tobytes() == np.array([p.value for p in points]).tobytes()
    longest = expected.Scalars("train/loss")
    assert log.columns["wall_time"].values.tobytes() == np.array([p.wall_time for p in longest]).tobytes()
    assert len(log.columns["eval/loss"].rows) == 6
    assert log.settings == {"lr": 0.1, "name": "x"}
    assert log.skipped == ()


@pytest.mark.slow
def test_ten_times_as_fast_as_tensorboard(tmp_path):
    writer = pytest.importorskip("torch.utils.tensorboard").SummaryWriter(str(tmp_path))
    for step in range(15_000):
        for tag in ("train/loss", "train/grad_norm", "train/lr", "eval/loss"):
            writer.add_scalar(tag, step / 7, step)
    writer.close()
    folder_log(tmp_path)  # fill the tables of the checksum
    started = time.process_time()
    folder_log(tmp_path)
    ours = time.process_time() - started
    accumulated(tmp_path)
    theirs = time.process_time() - started - ours
    assert theirs > 10 * ours
