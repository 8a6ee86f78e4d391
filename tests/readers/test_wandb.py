"""`.wandb` files are read without the package: blocks, old and new keys, damage; equal to what the real client was given."""

import math
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmdiag.errors import UnreadableLog
from lmdiag.gather import run_of
from lmdiag.judging.reading import find, runs_of
from lmdiag.readers.rawlog import RawLog
from lmdiag.readers.wandb.run_folder import can_read, read
from lmdiag.sources.source import Source
from tests.readers.event_writer import nested, varint
from tests.readers.wandb_writer import HEADER, exit_record, history, item, run, wandb_file


def log_of(*records: bytes) -> RawLog:
    (log,) = read(Source("run-a.wandb", content=wandb_file(*records)))
    return log


def values(log: RawLog, column: str) -> list[float]:
    return log.columns[column].values.tolist()


def test_recognised_by_its_first_bytes_or_in_a_folder():
    assert can_read("x", wandb_file())
    assert can_read("run-1/", b"\nfiles/config.yaml\nrun-1.wandb\n")
    assert not can_read("wandb/", b"\nrun-1/run-1.wandb\n")
    assert not can_read("run-a.wandb", b"something else")


@pytest.mark.parametrize("nested_keys", [True, False])
def test_history_of_new_and_old_clients(nested_keys):
    log = log_of(run("a1", "brisk-owl"), *(history(s, nested_keys, train__loss=3.0 - s, lr=0.1) for s in range(3)))
    assert (log.name, log.n_rows, log.step_column) == ("brisk-owl", 3, "_step")
    assert values(log, "train/loss") == [3.0, 2.0, 1.0]


def test_values_that_are_no_numbers():
    log = log_of(*(history(i, loss=v) for i, v in enumerate([math.nan, math.inf, -math.inf, "NaN", "Infinity", 1])))
    assert [str(v) for v in values(log, "loss")] == ["nan", "inf", "-inf", "nan", "inf", "1.0"]


def test_histograms_and_words_are_no_measurements():
    record = history(1, loss=1.0, note="hello", table={"_type": "table-file"}, done=True)
    assert set(log_of(record).columns) == {"loss", "_step", "done"}


def test_nested_keys_are_joined():
    assert "eval.loss" in log_of(history(1, **{"eval.loss": 2.0})).columns


def test_the_step_of_the_record_stands_in_for_a_missing_key():
    record = nested(2, nested(1, item("loss", 1.5)) + nested(2, b"\x08\x07"))
    assert values(log_of(record), "_step") == [7.0]


@pytest.mark.parametrize("column", ["train/global_step", "trainer/global_step", "iter"])
def test_a_better_counter_than_the_number_of_the_call(column):
    log = log_of(*(history(s, **{column: 10 * s, "loss": 1.0}) for s in range(4)))
    assert log.step_column == column


def test_a_counter_that_starts_again_is_not_taken():
    log = log_of(*(history(s, iter=s % 4, loss=1.0) for s in range(40)))
    assert log.step_column == "_step"


def test_records_over_several_blocks():
    long = history(1, loss=1.0, note="x" * 100_000)
    log = log_of(long, history(2, loss=2.0), *(history(s, loss=3.0, note="y" * 997) for s in range(3, 90)))
    assert len(values(log, "loss")) == 89
    assert log.skipped == ()


def test_settings_and_exit():
    settings_ = {"max_grad_norm": {"desc": None, "value": 0.5}, "_wandb": {"value": {"m": []}}}
    log = log_of(run("a1", config=settings_), history(0, loss=1.0), exit_record(1))
    assert run_of(log).config == {"grad_clip": 0.5, "run_id": "a1", "config": {"max_grad_norm": 0.5}}
    assert log.events[0].fields == {"status": "crashed", "exit_code": 1, "elapsed_s": 12}


@pytest.mark.parametrize(("code", "status"), [(0, "completed"), (255, "killed"), (137, "crashed")])
def test_a_run_that_was_interrupted_did_not_crash(code, status):
    assert run_of(log_of(history(0, loss=1.0), exit_record(code))).status == status


def test_a_run_without_history_says_so():
    assert "no history" in log_of(run("a1"), exit_record(1)).notes[0]


@pytest.mark.parametrize("content", [HEADER, HEADER + b"\xff" * 50, wandb_file(nested(2, b"\xff"))])
def test_what_cannot_be_read(content):
    with pytest.raises(UnreadableLog, match="no sound record"):
        read(Source("run-a.wandb", content=content))


ROWS = [history(step, loss=float(step), note="n" * 4000) for step in range(40)]
WHOLE = wandb_file(run("a1"), *ROWS)


def losses(data: bytes) -> tuple[list[float], int]:
    try:
        (log,) = read(Source("run-a.wandb", content=data))
    except UnreadableLog:
        return [], 1
    return (values(log, "loss") if "loss" in log.columns else []), len(log.skipped)


@pytest.mark.parametrize("missing", [1, 6, 7, 8, 5000])
def test_a_torn_tail_is_said(missing):
    found, skipped = losses(WHOLE[:-missing])
    assert found == [float(step) for step in range(len(found))]
    assert 37 <= len(found) < 40
    assert skipped


@settings(max_examples=150)
@given(st.integers(7, len(WHOLE) - 1), st.integers(1, 255))
def test_one_changed_byte_is_said_and_costs_at_most_a_block(place, change):
    damaged = bytearray(WHOLE)
    damaged[place] ^= change
    found, skipped = losses(bytes(damaged))
    assert set(found) <= {float(step) for step in range(40)}
    assert len(found) >= 40 - 10
    assert skipped


@settings(max_examples=150)
@given(st.binary(max_size=200))
def test_any_record_is_read_or_counted(payload):
    found, _ = losses(wandb_file(payload, history(1, loss=5.0)))
    assert found[-1:] == [5.0]


def resumed(run_id: str, step: int) -> bytes:
    """The record of a run that goes on at a step: field 14 is the step, field 18 says that it was resumed."""
    return nested(17, nested(1, run_id.encode()) + b"\x70" + varint(step) + b"\x90\x01\x01")


def folders(tmp_path: Path, second: bytes) -> list[Source]:
    """The logs found where run `abc` was begun in one folder and `second` is the file of another."""
    first = wandb_file(run("abc", "my run"), *(history(s, loss=5.0 - s / 10) for s in range(20)))
    for name, content in (("run-20260101_100000-abc", first), ("run-20260102_090000-abc", second)):
        folder = tmp_path / "wandb" / name
        (folder / "logs").mkdir(parents=True)
        (folder / "run-abc.wandb").write_bytes(content)
        (folder / "logs" / "debug.log").write_text("2026-01-01 INFO step=1 loss=9 setting up\n" * 5)
    sources, problems = find([tmp_path])
    assert problems == []
    return sources


def test_a_run_that_was_resumed_in_another_folder_is_one_run(tmp_path: Path):
    history_of_second = [history(s, loss=5.0 - s / 10) for s in range(15, 40)]
    (source,) = folders(tmp_path, wandb_file(resumed("abc", 15), *history_of_second, exit_record(0)))
    (found,) = runs_of(source)
    assert found["loss"].steps.tolist() == list(range(40))
    assert [(e.kind, e.step) for e in found.events if e.kind == "restart"] == [("restart", 15)]
    assert (found.name, found.complete) == ("my run", True)
    assert len(found.superseded["loss"]) == 5


def test_a_run_of_the_same_id_that_was_begun_anew_is_another_run(tmp_path: Path):
    (source,) = folders(tmp_path, wandb_file(run("abc"), *(history(s, loss=4.0 - s / 10) for s in range(30))))
    assert [len(found["loss"]) for found in runs_of(source)] == [20, 30]


def wait_until_written(path: Path) -> None:
    """Wait for the client's own process, which on a busy machine writes after `finish` has returned."""
    sizes = [0]
    while len(sizes) < 200 and not (sizes[-1] > len(HEADER) and sizes[-1] == sizes[-5]):
        time.sleep(0.1)
        sizes.append(path.stat().st_size)
        sizes = [0] * max(0, 5 - len(sizes)) + sizes


def test_equal_to_what_the_real_client_was_given(tmp_path: Path, monkeypatch):
    wandb = pytest.importorskip("wandb")
    for name in ("WANDB_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("WANDB_SILENT", "true")
    given_losses = [2.5, float("nan"), float("inf"), 1e-300, 0.1]
    live = wandb.init(
        mode="offline", dir=str(tmp_path), config={"grad_clip": 0.5, "model": {"layers": 2}}, name="my run"
    )
    for step, loss in enumerate(given_losses):
        live.log({"train/loss": loss, "train/global_step": 10 * step, "deep": {"metric": step}, "words": "text"})
    live.finish()
    wait_until_written(next(tmp_path.glob("wandb/offline-run-*/*.wandb")))
    (folder,) = [s for s in find([tmp_path])[0] if s.is_folder]
    (found,) = runs_of(folder)
    assert found.name == "my run"
    assert found["loss"].steps.tolist() == [0, 10, 20, 30, 40]
    assert [str(v) for v in found["loss"].values] == [str(v) for v in given_losses]
    assert found["deep.metric"].values.tolist() == [0, 1, 2, 3, 4]
    assert (found.config["grad_clip"], found.complete) == (0.5, True)


@pytest.mark.parametrize(
    ("ends", "status"),
    [
        ("Traceback (most recent call last):\nRuntimeError: boom\n", "crashed"),
        ("fatal: data missing, giving up\n", "crashed"),
        ("Traceback (most recent call last):\nKeyboardInterrupt\n", "killed"),
        ("loss 1.0\n", "killed"),
    ],
)
def test_an_error_in_the_console_says_what_exit_255_was(tmp_path: Path, ends: str, status: str):
    (tmp_path / "files").mkdir()
    (tmp_path / "files/output.log").write_text(ends)
    path = tmp_path / "run-a.wandb"
    path.write_bytes(wandb_file(history(0, loss=1.0), exit_record(255)))
    (log,) = read(Source(path.as_posix(), path))
    assert run_of(log).status == status
