"""Many logs: the same verdicts in one process, in several and on a cluster, whoever dies; small, complete, in order."""

import contextlib
import io
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from lmdiag.cli import main
from lmdiag.config import Settings
from lmdiag.diagnose import diagnose
from lmdiag.errors import LmdiagError
from lmdiag.finding import Finding, Severity
from lmdiag.fleet import each, processors, worthwhile_jobs
from lmdiag.fleet.shelf import Shelf
from lmdiag.fleet.slim import slimmed
from lmdiag.judging.judged import TEXT, Judging
from lmdiag.judging.logs import judge
from lmdiag.judging.reading import find
from lmdiag.judging.suppressions import Accepted
from lmdiag.readers.options import ReadOptions
from lmdiag.reports import FORMATS, render
from lmdiag.reports.phrases import checkpoint
from lmdiag.reports.report import Report
from lmdiag.run import Run, Series
from lmdiag.sources.source import Source
from tests.rules.curves import falling

ROOT = Path(__file__).parents[1]


def write_logs(folder, n=6):
    """Logs of which the third diverges and the fifth is no log."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(n):
        losses = falling(300, seed=number)
        if number == 2:
            losses[200:] += 6
        text = "".join(f'{{"step": {s}, "loss": {v!r}}}\n' for s, v in enumerate(losses.tolist(), 1))
        (folder / f"{number}.jsonl").write_text("Hello\n" if number == 4 else text)
    return folder


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


def sick_run(n=5000):
    losses = falling(n)
    losses[int(0.7 * n) :] += 5
    losses[n // 3] = np.nan
    steps, lines = np.arange(1, n + 1), np.arange(2, n + 2)
    every = np.arange(9, n, n // 50)
    series = {
        "loss": Series(steps, losses, lines),
        "grad_norm": Series(steps, np.abs(np.sin(steps)) + 1, lines),
        "val/loss": Series(steps[every], losses[every] + 0.02, lines[every]),
        "lr": Series(np.append(steps, n + 7), np.full(n + 1, 1e-3)),
    }
    return Run("a", series, source="a.jsonl", format="jsonl")


@pytest.mark.parametrize("name", [name for name in FORMATS if name not in ("html", "text")])
def test_a_light_diagnosis_reads_like_the_whole_one(name):
    whole = diagnose(sick_run())
    small = pickle.loads(pickle.dumps(slimmed(whole)))
    assert whole.findings
    assert render(Report((small,)), name) == render(Report((whole,)), name)


def test_a_light_diagnosis_is_small_whatever_the_length_of_the_log():
    sizes = [len(pickle.dumps(slimmed(diagnose(sick_run(n))))) for n in (2000, 40_000)]
    assert max(sizes) < 60_000
    assert sizes[1] < 1.5 * sizes[0]


def test_a_light_run_keeps_the_curves_that_all_points_decided():
    steps = np.arange(4000)
    several = {f"{name}/loss": Series(steps, 3.0 + np.cos(steps + shift)) for name, shift in (("a", 0), ("b", 1))}
    whole = diagnose(Run("a", several))
    small = replace(slimmed(whole).run, name="another name")
    for name in ("curve", "evaluation"):
        metric, series = getattr(small, name)
        assert metric == getattr(whole.run, name)[0] == "val/loss"
        assert len(series) < series.logged == len(steps)


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


def test_values_of_many_logs_are_not_kept_in_memory(tmp_path, monkeypatch):
    folder = write_logs(tmp_path)
    monkeypatch.setattr("lmdiag.judging.logs.MANY", 1)
    run = judge(folder, Settings(), jobs=2, keep="text").diagnoses[0].run
    assert run["loss"] is not run["loss"]
    assert pickle.loads(pickle.dumps(run))["loss"].values.tolist() == run["loss"].values.tolist()


def test_values_for_which_the_disk_has_no_room_stay_in_memory(monkeypatch):
    class Full(io.BytesIO):
        def write(self, content):
            return super().write(content[: 100 - self.tell()])

    monkeypatch.setattr("lmdiag.fleet.shelf.TemporaryFile", lambda **options: Full())
    shelf, values = Shelf(), {"loss": 2.5}
    kept = [shelf.put(values) for _ in range(9)]
    assert kept[0] is not values
    assert kept[-1] is values
    assert kept == [values] * 9

    def nowhere(**options):
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr("lmdiag.fleet.shelf.TemporaryFile", nowhere)
    assert Shelf().put(values) is values


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
        "from tests.test_fleet import each, slow_line, sources, told\nfrom pathlib import Path\nimport sys\n"
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


def test_a_light_diagnosis_names_the_same_checkpoint_to_keep():
    steps, every = np.arange(1, 41), np.arange(1, 4001) * 10
    rng = np.random.default_rng(0)
    measures = {"reward_accuracy": 0.6 + 0.1 * rng.random(4000), "loss": 0.6 + 0.1 * rng.random(4000)}
    evaluated = {f"val/{name}": Series(every, values) for name, values in measures.items()}
    run = Run("a", {"loss": Series(steps, falling(40)), **evaluated}, method="dpo", config={"task": "preference"})
    spoilt = Finding("…", 20_000, 40_000, rule="falling-likelihood", severity=Severity.WARNING)
    for findings in ((), (spoilt,)):
        whole = replace(diagnose(run), findings=findings)
        small = pickle.loads(pickle.dumps(slimmed(whole)))
        assert small.keep == whole.keep is not None
        assert checkpoint(small) == checkpoint(whole)
        assert checkpoint(whole).endswith(f"(val/reward_accuracy {whole.keep.value:.4g})")


def test_runs_share_what_they_say_alike(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").write_text(
            "".join(f'{{"step": {i}, "loss": {2 + 3 / i}}}\n' for i in range(1, 60))
        )
    one, other = judge(tmp_path, Settings(), jobs=2, keep="text", copies=True).diagnoses
    assert one.not_checked
    assert one.not_checked is other.not_checked
    assert one.asked is other.asked
