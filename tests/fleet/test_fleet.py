"""Many logs: the same verdicts in one process, in several and on a cluster, whoever dies; small, complete, in order."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from lmdiag.cli import main
from lmdiag.config import Settings
from lmdiag.diagnose import diagnose
from lmdiag.errors import LmdiagError
from lmdiag.fleet import each, processors, worthwhile_jobs
from lmdiag.judging.judged import TEXT, Judging
from lmdiag.judging.reading import find
from lmdiag.judging.suppressions import Accepted
from lmdiag.readers.options import ReadOptions
from lmdiag.reports import FORMATS
from lmdiag.sources.source import Source
from tests.fleet.made import write_logs

ROOT = Path(__file__).parents[2]


def sources(folder):
    return [Source(path.name, path) for path in sorted(folder.iterdir())]


def first_line(source):
    return source.path.read_text().splitlines()[0]


def told(source):
    return f"lost {source.name}"


def dies(once, source):
    """Kill the process at the log called 2: each time, or only while the file `once` is not there."""
    if source.name == "2.jsonl" and not (once and os.path.exists(once)):
        if once:
            open(once, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return source.name


def test_all_ways_give_the_same_in_the_same_order(tmp_path):
    found = sources(write_logs(tmp_path))
    here = list(each(first_line, found, told))
    assert here == list(each(first_line, found, told, jobs=2))
    assert len(here) == 6
    assert here[4] == "Hello"


def variable(source):
    return os.environ.get("A_STORE_PASSWORD")


def test_processes_know_the_environment_of_now(tmp_path, monkeypatch):
    found = sources(write_logs(tmp_path))
    list(each(first_line, found, told, jobs=2))
    monkeypatch.setenv("A_STORE_PASSWORD", "secret")
    assert list(each(variable, found, told, jobs=2)) == ["secret"] * len(found)
    monkeypatch.delenv("A_STORE_PASSWORD")
    assert list(each(variable, found, told, jobs=2)) == [None] * len(found)


def test_a_process_that_is_killed_once_loses_nothing(tmp_path):
    found = sources(write_logs(tmp_path / "logs"))
    once = str(tmp_path / "once")
    assert list(each(partial(dies, once), found, told, jobs=2)) == [source.name for source in found]


def test_a_log_that_kills_its_process_each_time_is_said_and_the_others_are_not_lost(tmp_path):
    found = sources(write_logs(tmp_path))
    expected = [told(s) if s.name == "2.jsonl" else s.name for s in found]
    assert list(each(partial(dies, ""), found, told, jobs=2)) == expected


def test_verdicts_are_the_same_with_jobs(tmp_path, capsys):
    folder = write_logs(tmp_path)
    printed = []
    for options in ([], ["--jobs", "2"]):
        assert main(["check", f"{folder}/*.jsonl", "--isolated", "-f", "json", *options]) == 1
        printed.append(json.loads(capsys.readouterr().out))
    assert printed[0] == printed[1]
    assert [run["verdict"] for run in printed[0]["runs"]].count("unhealthy") == 1
    assert [problem["source"] for problem in printed[0]["unreadable"]] == [f"{folder}/4.jsonl"]


@pytest.mark.parametrize(
    ("sizes", "jobs"),
    [([], 1), ([1000] * 20, 1), ([1000] * 600, 4), ([700_000] * 100, 2), ([60 << 20] * 4, 4), ([65 << 20] * 50, 1)],
)
def test_processes_are_started_where_they_pay(monkeypatch, tmp_path, sizes, jobs):
    monkeypatch.setattr("lmdiag.fleet.processors", lambda: 4)
    logs = []
    for number, size in enumerate(sizes):
        logs.append(Source(str(number), tmp_path / str(number)))
        with logs[-1].path.open("wb") as file:
            file.truncate(size)
    assert worthwhile_jobs(logs) == jobs


@pytest.mark.parametrize(("quota", "expected"), [("150000 100000\n", 2), ("20000 100000\n", 1), ("max 100000\n", 64)])
def test_a_container_may_use_what_its_quota_says(monkeypatch, tmp_path, quota, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(64), raising=False)
    (tmp_path / "cpu.max").write_text(quota)
    assert processors(tmp_path / "cpu.max") == expected
    assert processors(tmp_path / "none") == 64


def test_many_logs_are_checked_in_several_processes_without_asking(tmp_path, monkeypatch, capsys):
    used = []
    monkeypatch.setattr("lmdiag.fleet.processors", lambda: 2)
    monkeypatch.setattr("lmdiag.fleet.STARTED_S", 0.01)
    monkeypatch.setattr("lmdiag.judging.logs.each", lambda *args: used.append(args[3]) or each(*args))
    assert main(["check", str(write_logs(tmp_path)), "--isolated", "-f", "concise"]) == 1
    assert main(["check", str(tmp_path), "--isolated", "-f", "concise", "-j", "1"]) == 1
    assert used == [2, 1]


def test_copies_in_a_folder_are_judged_once_and_said(tmp_path, capsys):
    folder = write_logs(tmp_path / "runs", 2)
    (folder / "backup.jsonl").write_bytes((folder / "1.jsonl").read_bytes())
    for options in ([], ["--jobs", "2"]):
        assert main(["check", str(folder), "--isolated", "-f", "json", *options]) == 0
        runs = json.loads(capsys.readouterr().out)["runs"]
        assert len(runs) == 2
        assert sum("holds the same values" in note for run in runs for note in run["notes"]) == 1


def test_the_table_has_a_row_for_every_run_and_every_unreadable_source(tmp_path, capsys):
    import polars as pl

    folder = write_logs(tmp_path / "runs")
    assert main(["check", f"{folder}/*.jsonl", "--isolated", "-o", f"parquet={tmp_path}/t.parquet"]) == 1
    table = pl.read_parquet(tmp_path / "t.parquet")
    assert table.height == 6
    assert table["error"].drop_nulls().len() == 1
    findings = table.explode("findings").unnest("findings").filter(severity="error")
    assert findings["source"].unique().to_list() == [f"{folder}/2.jsonl"]
    assert findings["first_step"][0] > 190


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed")
    import dask

    # the workers import the tasks of this file
    with (
        dask.config.set({"distributed.worker.daemon": False, "distributed.scheduler.allowed-failures": 3}),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
        ) as running,
    ):
        yield running


def slow_line(source):
    time.sleep(0.3)
    return source.path.read_text().splitlines()[0]


@pytest.mark.slow
def test_a_worker_of_a_cluster_that_is_killed_midway_loses_nothing(cluster, tmp_path):
    found = sources(write_logs(tmp_path, 12))
    coming = each(slow_line, found, told, scheduler=cluster.scheduler_address)
    lines = [next(coming)]
    os.kill(next(iter(cluster.workers.values())).pid, signal.SIGKILL)
    lines += coming
    assert lines == [first_line(source) for source in found]


@pytest.mark.slow
def test_a_cluster_gives_the_verdicts_of_this_process(cluster, tmp_path, capsys):
    folder = write_logs(tmp_path)
    printed = []
    for options in ([], ["--scheduler", cluster.scheduler_address]):
        assert main(["check", f"{folder}/*.jsonl", "--isolated", "-f", "json", *options]) == 1
        printed.append(json.loads(capsys.readouterr().out))
    assert printed[0] == printed[1]


@pytest.mark.slow
def test_a_worker_fetches_a_remote_folder_itself(cluster, tmp_path):
    from tests.readers.sample_logs import LOSSES, SAMPLES

    board = tmp_path / "board"
    board.mkdir()
    (board / "events.out.tfevents.1.host").write_bytes(SAMPLES["tensorboard"][1])
    (found,), _ = find([f"file://{board}/"])
    shutil.rmtree(found.path)  # as on a machine other than the one where it was found
    task = Judging(Settings(), Accepted(), ReadOptions(), TEXT)
    (judged,) = each(task, [found], task.lost, scheduler=cluster.scheduler_address)
    assert not judged.unreadable
    assert judged.diagnoses[0].run.source == f"file://{board}/"
    assert judged.diagnoses[0].run["loss"].logged == len(LOSSES)


def test_an_address_without_a_scheduler_is_an_error_for_the_user(tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("lmdiag.fleet.cluster.PATIENCE", "1s")
    with pytest.raises(LmdiagError, match="cannot reach a Dask scheduler"):
        list(each(first_line, sources(write_logs(tmp_path)), told, scheduler="tcp://127.0.0.1:9"))


@pytest.mark.parametrize("name", ["json", "sarif", "gitlab", "concise"])
def test_many_logs_are_reported_as_few_are(tmp_path, capsys, monkeypatch, name):
    folder = write_logs(tmp_path)
    settings = ["--config", "rules.few-evaluations.severity=warning"]
    printed = []
    for few in (20, 1):
        monkeypatch.setattr("lmdiag.judging.logs.FEW", few)
        assert main(["check", f"{folder}/*.jsonl", "--isolated", "-f", name, *settings]) == 1
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"html", "parquet"}))
def test_many_logs_are_reported_from_disk_as_from_memory(tmp_path, capsys, monkeypatch, name):
    folder = write_logs(tmp_path)
    shutil.copy(folder / "2.jsonl", folder / "copy.jsonl")
    monkeypatch.setattr("lmdiag.judging.logs.FEW", 1)
    printed = []
    for many in (1000, 1):
        monkeypatch.setattr("lmdiag.judging.logs.MANY", many)
        assert main(["check", str(folder), "--isolated", "-f", name, "-v"]) == 1
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]


def test_charts_of_many_logs_are_drawn_for_the_first_of_each_verdict(tmp_path, capsys, monkeypatch):
    pytest.importorskip("vl_convert")
    folder = write_logs(tmp_path)
    monkeypatch.setattr("lmdiag.judging.logs.FEW", 2)
    assert main(["check", f"{folder}/*.jsonl", "--isolated", "-o", f"html={tmp_path}/r.html"]) == 1
    page = (tmp_path / "r.html").read_text()
    assert page.count("<svg") >= 5
    assert "divergence" in page


def test_an_internal_error_in_one_log_hides_no_other(tmp_path, capsys, monkeypatch):
    folder = write_logs(tmp_path)
    monkeypatch.setattr("lmdiag.judging.logs.FEW", 1)
    real = diagnose

    def breaks(run, *more):
        if run.source.endswith("3.jsonl"):
            raise ZeroDivisionError("made up")
        return real(run, *more)

    monkeypatch.setattr("lmdiag.judging.policy.diagnose", breaks)
    assert main(["check", f"{folder}/*.jsonl", "--isolated", "-f", "json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert len(report["runs"]) == 4
    assert "internal error: ZeroDivisionError: made up" in [problem["error"] for problem in report["unreadable"]]


def session(leader):
    """The processes of a session."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            found += [int(name)] if os.getsid(int(name)) == leader else []
    return found


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="needs /proc")
def test_no_process_outlives_a_command_that_was_killed(tmp_path):
    write_logs(tmp_path, 1)
    program = (
        "from tests.fleet.test_fleet import each, slow_line, sources, told\nfrom pathlib import Path\nimport sys\n"
        "list(each(slow_line, sources(Path(sys.argv[1])) * 500, told, jobs=2))"
    )
    command = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, start_new_session=True)
    until(lambda: len(session(command.pid)) >= 5)
    command.kill()
    command.wait()
    until(lambda: not session(command.pid))


def until(holds):
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)
