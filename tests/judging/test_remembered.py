"""A log that has not changed is not read again; whatever else has changed, it is."""

import json
import os
import pickle
import shutil
import sys

import numpy as np
import pytest

from lmdiag.config import Settings
from lmdiag.judging import remembered
from lmdiag.judging.judged import TEXT, Judging
from lmdiag.judging.logs import judge
from lmdiag.reports import render
from tests.cli.conftest import falling, run, write_log

__all__ = ["run"]


@pytest.fixture
def logs(tmp_path, monkeypatch):
    """Three logs, the second of them sick, and the names of those that are read in a check of them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(remembered, "cache_folder", lambda: tmp_path / "cache" / "lmdiag")
    for k, name in enumerate("abc"):
        write_log(tmp_path / f"runs/{name}.jsonl", falling() + 0.1 * k)
    losses = falling()
    losses[300:] = np.nan
    write_log(tmp_path / "runs/b.jsonl", losses)
    read = []
    task = Judging.__call__
    monkeypatch.setattr(Judging, "__call__", lambda self, source: read.append(source.name) or task(self, source))
    return read


def checked(read, cache="times", settings=None, **more):
    """Return the text of a report, and which logs were read for it."""
    read.clear()
    report = judge("runs", settings or Settings(), jobs=1, keep=TEXT, cache=cache, **more)
    return render(report, "json"), [name.rpartition("/")[2] for name in read]


@pytest.mark.parametrize("cache", ["times", "content"])
def test_only_what_has_changed_is_read_again(logs, cache):
    first, read = checked(logs, cache)
    assert read == ["a.jsonl", "b.jsonl", "c.jsonl"]
    assert checked(logs, cache) == (first, [])
    assert checked(logs, "")[0] == first
    path = "runs/c.jsonl"
    with open(path, "a") as file:
        file.write(json.dumps({"step": 10_000, "loss": 2.0}) + "\n")
    shutil.move("runs/a.jsonl", "runs/d.jsonl")
    changed, read = checked(logs, cache)
    assert {"c.jsonl", "d.jsonl"} <= set(read)
    assert changed == checked(logs, "")[0] != first


def test_a_change_that_leaves_the_times_is_seen_by_the_content(logs):
    first, _ = checked(logs, "content")
    about = os.stat("runs/a.jsonl")
    with open("runs/a.jsonl", "r+b") as file:
        content = file.read()
        at = content.index(b'"loss": ', len(content) // 2) + len(b'"loss": ')
        file.seek(at)
        file.write(b"9")
    os.utime("runs/a.jsonl", ns=(about.st_atime_ns, about.st_mtime_ns))
    again, read = checked(logs, "content")
    assert "a.jsonl" in read
    assert again != first


def test_settings_and_the_version_count(logs, monkeypatch):
    checked(logs)
    assert len(checked(logs, settings=Settings(ignore=("spikes",)))[1]) == 3
    assert checked(logs, settings=Settings(ignore=("spikes",)))[1] == []
    monkeypatch.setattr(remembered, "__version__", "0.0.1")
    assert len(checked(logs)[1]) == 3


def entries():
    return [path for path in remembered.cache_folder().iterdir() if path.name != "key"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:-10],
        lambda content: content[:100] + bytes([content[100] ^ 1]) + content[101:],
        lambda content: b"\0" * 32 + content[32:],
    ],
    ids=["empty", "cut", "altered", "signed by nobody"],
)
def test_a_damaged_entry_is_ignored_and_written_again(logs, damage):
    first, _ = checked(logs)
    for path in entries():
        path.write_bytes(damage(path.read_bytes()))
    assert checked(logs) == (first, ["a.jsonl", "b.jsonl", "c.jsonl"])
    assert checked(logs) == (first, [])


def test_a_foreign_entry_is_not_even_decoded(logs, monkeypatch):
    checked(logs)
    shutil.copytree(remembered.cache_folder(), "elsewhere")
    shutil.rmtree(remembered.cache_folder())
    checked(logs)
    for path in entries():
        shutil.copy(f"elsewhere/{path.name}", path)
    monkeypatch.setattr(pickle, "loads", lambda content: pytest.fail("decoded"))
    assert len(checked(logs)[1]) == 3


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
def test_a_folder_that_others_may_write_to_is_not_used(logs, run):
    checked(logs)
    remembered.cache_folder().chmod(0o777)
    assert len(checked(logs)[1]) == 3
    assert "warning: no cache: others may write to" in run("check", "--cache", "runs").err


def test_what_could_not_be_read_is_tried_again(logs, tmp_path):
    (tmp_path / "runs/trainer_state.json").write_text('{"log_history": []}')
    checked(logs)
    assert checked(logs)[1] == ["trainer_state.json"]


def test_a_suppression_that_ends_holds_for_its_day_only(logs, tmp_path, monkeypatch):
    losses = falling()
    losses[300:] = np.nan
    write_log(tmp_path / "runs/b.jsonl", losses, suppress=[{"rule": "all", "reason": "planned", "until": "2999-01-01"}])
    checked(logs)
    assert checked(logs)[1] == []
    monkeypatch.setattr(remembered, "_today", lambda: "2998-12-31")
    assert checked(logs)[1] == ["b.jsonl"]


def test_a_setting_beside_a_log_counts(logs, tmp_path):
    checked(logs)
    (tmp_path / "runs/hparams.yaml").write_text("lr: 0.1\n")
    assert len(checked(logs)[1]) >= 3


def test_logs_of_one_folder_say_nothing_of_each_other(logs, tmp_path):
    checked(logs)
    with open("runs/c.jsonl", "a") as file:
        file.write("\n")
    assert checked(logs)[1] == ["c.jsonl"]
    write_log(tmp_path / "runs/d.jsonl", falling() + 0.5)
    assert checked(logs)[1] == ["d.jsonl"]


def test_what_a_reading_opened_counts_wherever_it_lies(logs, tmp_path):
    """A store keeps its settings in another file, which may be the target of a link."""
    shutil.rmtree("runs")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/hparams.yaml").write_text("lr: 0.1\n")
    version = tmp_path / "runs/lightning_logs/version_0"
    version.mkdir(parents=True)
    (version / "hparams.yaml").symlink_to(tmp_path / "elsewhere/hparams.yaml")
    rows = "".join(f"{0 if n % 10 else n},{3 - n / 200:.4f},{n}\n" for n in range(1, 200))
    (version / "metrics.csv").write_text("epoch,train_loss,step\n" + rows)
    first, _ = checked(logs)
    assert checked(logs) == (first, [])
    (tmp_path / "elsewhere/hparams.yaml").write_text("lr: 0.2\n")
    assert len(checked(logs)[1]) == 1


def test_a_file_that_is_written_to_while_it_is_read_is_not_kept(logs, monkeypatch):
    task = Judging.__call__

    def written_to(self, source):
        result = task(self, source)
        if source.name.endswith("c.jsonl"):
            with open("runs/c.jsonl", "a") as file:
                file.write("\n")
        return result

    with monkeypatch.context() as patch:
        patch.setattr(Judging, "__call__", written_to)
        checked(logs)
    assert checked(logs)[1] == ["c.jsonl"]


def test_a_log_that_is_named_is_not_one_that_was_met(logs, tmp_path):
    (tmp_path / "runs/data.jsonl").write_text('{"id": 1, "score": 0.5, "foo": 2}\n' * 40)
    checked(logs)
    named = judge(["runs", "runs/data.jsonl"], Settings(), jobs=1, keep=TEXT, cache="times")
    fresh = judge(["runs", "runs/data.jsonl"], Settings(), jobs=1, keep=TEXT)
    assert render(named, "json") == render(fresh, "json")


def test_a_key_that_was_cut_is_made_anew(logs):
    checked(logs)
    (remembered.cache_folder() / "key").write_bytes(b"")
    assert len(checked(logs)[1]) == 3
    assert checked(logs)[1] == []


def test_a_folder_that_cannot_be_written_to_does_not_stop_the_check(logs, monkeypatch):
    def full(*arguments, **named):
        raise OSError(28, "No space left on device")

    first, _ = checked(logs, "")
    monkeypatch.setattr(remembered.Path, "write_bytes", full)
    monkeypatch.setattr(remembered.Path, "unlink", full)
    assert checked(logs) == (first, ["a.jsonl", "b.jsonl", "c.jsonl"])


def test_old_entries_are_forgotten(logs, tmp_path):
    checked(logs)
    for path in entries():
        os.utime(path, (0, 0))
    shutil.rmtree("runs")
    write_log(tmp_path / "runs/new.jsonl", falling())
    checked(logs)
    assert len(entries()) == 1


def test_the_option_takes_no_path(logs, run):
    for _ in range(2):
        done = run("check", "--cache", "runs")
        assert (done.code, "3 runs: 1 unhealthy" in done.out) == (1, True)
    assert run("check", "--cache=content", "runs").code == 1
    assert "is not one of" in run("check", "--cache=always", "runs").err


def test_an_interrupt_keeps_what_was_judged_and_the_cache_goes_on_from_there(logs, monkeypatch, run):
    task = Judging.__call__

    def interrupted(self, source):
        if source.name.endswith("c.jsonl"):
            raise KeyboardInterrupt
        return task(self, source)

    with monkeypatch.context() as patch:
        patch.setattr(Judging, "__call__", interrupted)
        done = run("check", "--cache", "runs")
    assert (done.code, "b.jsonl" in done.out, "1 other log" in done.out) == (1, True, True)
    assert "not checked: interrupted" in done.out
    logs.clear()
    assert run("check", "--cache", "runs").code == 1
    assert [name.rpartition("/")[2] for name in logs] == ["c.jsonl"]
