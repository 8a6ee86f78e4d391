"""Runs on a real MLflow server: every value, few questions, and what happens where it fails."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lmdiag.cli import main
from lmdiag.cli.watching import run_at
from lmdiag.errors import UnreadableLog
from lmdiag.judging.judged import Judging
from lmdiag.judging.logs import judge
from lmdiag.judging.reading import find, read, read_all
from lmdiag.readers.options import ReadOptions
from lmdiag.trackers import mlflow
from lmdiag.watching.tracked import TrackedFollower
from tests.trackers.conftest import falling

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow  # the server takes some seconds to start


def said(path):
    """What is said of each run, by its name."""
    report = judge(path)
    assert not report.unreadable
    return {
        diagnosis.run.name.rpartition("#")[2]: (
            diagnosis.verdict,
            [(f.rule, f.severity, f.first_step, f.last_step, f.message, f.evidence) for f in diagnosis.findings],
            diagnosis.not_checked,
            {name: (str(s.steps.tolist()), str(s.values.tolist())) for name, s in diagnosis.run.series.items()},
            diagnosis.run.segments,
            diagnosis.run.notes[-1:] if "holds several" not in str(diagnosis.run.notes) else (),
        )
        for diagnosis in report.diagnoses
    }


def test_the_server_says_the_same_as_its_database_on_disk(runs, tracking):
    of_server = said(runs)
    of_disk = said(f"{tracking.folder}/mlflow.db")
    assert list(of_server) == ["at work", "no steps", "resumed", "broken", "healthy"]
    for name, told in of_server.items():
        assert told == of_disk[name], name
    assert of_server["broken"][0] == "unhealthy"
    assert of_server["healthy"][0] == "healthy"


def test_values_that_json_does_not_know(runs):
    loss = read(f"{runs}/broken")["loss"]
    assert str(loss.values[180:182].tolist()) == "[nan, inf]"


def test_a_run_by_name_by_id_and_of_all_experiments(runs, tracking):
    found = read(f"{runs}/healthy")
    run_id = found.source.rpartition("/")[2]
    assert (found.name, found.complete, found.config["max_steps"]) == ("healthy", True, 200)
    assert read(f"{runs}/{run_id}").source == found.source
    assert run_id in {run.source.rpartition("/")[2] for run in read_all(f"mlflow://{tracking.host}")}


def test_a_run_of_another_experiment_is_not_there(runs, tracking):
    other = tracking.run("another", "its own", falling())
    _, problems = find([f"{runs}/{other}"])
    assert "has no runs" in problems[0].message


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("limit=2", ["at work", "empty"]),
        ("state=failed,killed", ["resumed", "broken"]),
        ("state=running", ["at work"]),
        ("tag=team", ["at work", "broken", "healthy"]),
        ("tag=team=nlp", ["at work", "healthy"]),
        ("tag=team=nlp&state=finished", ["healthy"]),
        ("tag=team=nlp&limit=1", ["at work"]),
        ("since=1h&limit=1", ["at work"]),
        ("until=2020-01-01", []),
    ],
)
def test_filters(runs, query, names):
    found, problems = find([f"{runs}?{query}"])
    assert [json.loads(source.content)["info"]["run_name"] for source in found] == names
    assert len(problems) == (not names)


def test_no_more_runs_are_asked_for_than_are_wanted(runs, proxy):
    assert len(find([f"mlflow://{proxy.host}/kinds?limit=2"])[0]) == 2
    assert proxy.count("runs/search") == 1
    assert '"max_results": 2' in proxy.asked[-1]


def test_filters_of_the_command_line(runs, capsys):
    assert main(["check", runs, "--state", "failed", "--tag", "team=vision", "-f", "json"]) == 1
    (run,) = json.loads(capsys.readouterr().out)["runs"]
    assert run["name"] == "broken"
    assert main(["check", "runs", "--limit", "3"]) == 2
    assert "--limit is for runs on servers" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("mlflow://{host}/no such", "has no experiment 'no such'"),
        ("mlflow://{host}/12345678", "404"),
        ("mlflow://{host}/kinds/nobody", "has no runs there"),
        ("mlflow://{host}/a/b/c", "names more than an experiment and a run"),
        ("mlflow://127.0.0.1:1/kinds", "does not answer"),
        ("mlflow:///kinds", "names no server"),
        ('mlflow://{host}/kinds?tag=note=it\'s "it"', "both kinds of quotes"),
        ("mlflow+https://{host}/kinds", "does not answer"),
    ],
)
def test_what_is_not_there(runs, tracking, address, message, capsys):
    assert main(["check", address.format(host=tracking.host)]) == 2
    out = " ".join(capsys.readouterr().out.split())
    assert message in out
    assert "Hint" in out


def test_a_reader_of_files_is_refused(runs, capsys):
    assert main(["check", f"{runs}/healthy", "--reader", "csv"]) == 2
    assert "are for files" in capsys.readouterr().out
    assert main(["check", f"{runs}/healthy", "--map", "reward=train/loss", "-f", "json"]) == 0


def test_the_server_of_the_environment(runs, tracking, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:hunter2@{tracking.host}")
    found = read("mlflow:///kinds/healthy")
    assert found["loss"].values.tolist() == read(f"{runs}/healthy")["loss"].values.tolist()
    assert "hunter2" not in str(found)


def test_pages_bring_every_value_once(runs, proxy, monkeypatch):
    expected = read(f"{runs}/resumed")["loss"]
    monkeypatch.setattr(mlflow, "VALUES_A_PAGE", 70)
    monkeypatch.setattr(mlflow, "RUNS_A_PAGE", 2)
    found = {run.name: run for run in read_all(f"mlflow://{proxy.host}/kinds")}
    assert found["resumed"]["loss"].values.tolist() == expected.values.tolist()
    assert len(found) == 5
    assert proxy.count("runs/search") == 3
    assert proxy.count("get-history") == 3 + 1 + 5 + 5 + 1 + 1  # pages of 70: 200 + 10, 300, 300, 60 and 50 values


@pytest.fixture(scope="module")
def many(tracking):
    """Two hundred runs, four of which learn nothing any more."""
    experiment = tracking.client().create_experiment("many")
    for number in range(200):
        run = tracking.client().create_run(experiment, run_name=f"run {number}")
        tracking.fill(run.info.run_id, falling(60, number) if number % 50 else [*falling(40), *[9.0] * 20])
    return "many"


def test_a_project_of_200_runs_is_asked_for_once_each(many, proxy, capsys):
    told = []
    report = judge(f"mlflow://{proxy.host}/{many}", jobs=2, progress=lambda done, total: told.append((done, total)))
    assert len(report.diagnoses) == 200
    assert len({d.run.name for d in report.diagnoses if d.verdict == "unhealthy"}) == 4
    assert told == [(done, 200) for done in range(200)]
    assert (proxy.count("experiments/"), proxy.count("runs/search"), proxy.count("get-history")) == (1, 1, 200)
    assert len(proxy.asked) == 202


def test_an_interrupt_keeps_what_was_judged(many, tracking, monkeypatch, capsys):
    asked = []
    judged = Judging.__call__

    def interrupted(self, source):
        asked.append(source)
        if len(asked) == 31:
            raise KeyboardInterrupt
        return judged(self, source)

    monkeypatch.setattr(Judging, "__call__", interrupted)
    main(["check", f"mlflow://{tracking.host}/{many}", "--jobs", "1", "-f", "json"])
    found = json.loads(capsys.readouterr().out)
    assert len(found["runs"]) == 30
    assert found["unreadable"][0]["error"].startswith("not checked: interrupted")


def test_comparing_and_reporting_take_addresses(runs, tmp_path, capsys):
    assert main(["compare", f"{runs}/healthy", f"{runs}/healthy"]) == 0
    assert main(["report", runs, "--state", "finished", "-o", str(tmp_path / "a.md")]) == 0
    assert "healthy" in (tmp_path / "a.md").read_text()
    assert main(["compare", f"{runs}/healthy", runs]) == 2
    capsys.readouterr()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this system does not tell the peak memory")
def test_a_long_history_takes_hardly_more_memory_than_a_file(tracking, tmp_path):
    losses = falling(100_000)
    tracking.fill(tracking.run("long", "long"), losses)
    log = tmp_path / "long.jsonl"
    log.write_text("".join(json.dumps({"step": step, "train/loss": loss}) + "\n" for step, loss in enumerate(losses)))
    of_file, file_report = checked(str(log))
    of_server, server_report = checked(f"mlflow://{tracking.host}/long")
    assert server_report["runs"][0]["steps"]["points"] == 100_000
    assert server_report["runs"][0]["findings"] == file_report["runs"][0]["findings"]
    assert of_server <= 1.2 * of_file


def checked(path):
    """Return the peak memory of a check, and its report."""
    code = (
        "import sys\nfrom lmdiag.cli import main\n"
        "main(['check', sys.argv[1], '--isolated', '--format', 'json'])\n"
        "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, path], cwd=ROOT, capture_output=True, text=True, check=True)
    return int(done.stderr.split()[-1]), json.loads(done.stdout)


def test_a_file_is_checked_without_what_asks_servers(tmp_path):
    log = tmp_path / "run.jsonl"
    log.write_text("".join(json.dumps({"step": step, "loss": loss}) + "\n" for step, loss in enumerate(falling())))
    code = (
        "import sys\nfrom lmdiag.cli import main\nmain(['check', sys.argv[1]])\n"
        "print(*sorted(m for m in sys.modules if 'lmdiag.trackers' in m or m in ('mlflow', 'wandb', 'trackio', 'urllib.request', 'ssl')))"
    )
    done = subprocess.run([sys.executable, "-c", code, log], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("\n\n")


def test_following_asks_only_for_what_is_new(tracking, proxy, monkeypatch):
    from mlflow.entities import Metric

    monkeypatch.setattr(mlflow, "VALUES_A_PAGE", 40)
    run_id = tracking.run("followed", "growing", falling(100), status="")
    follower = TrackedFollower(run_at(f"mlflow://{proxy.host}/followed"), ReadOptions(), 0)
    assert (follower.poll(), follower.ended) == (True, False)
    assert len(follower.runs()[0]["loss"]) == 100
    before = proxy.count("get-history")
    assert not follower.poll()
    assert proxy.count("get-history") == before
    client = tracking.client()
    client.log_batch(run_id, [Metric("train/loss", 2.5, 1_700_000_000_000 + 1000 * s, s) for s in range(100, 130)])
    assert follower.poll()
    assert follower.runs()[0]["loss"].steps.tolist() == list(range(130))
    assert proxy.count("get-history") == before + 2  # the last page again, and the one behind it
    proxy.failing = {"runs/get": [500] * 4}
    assert follower.poll()
    with pytest.raises(UnreadableLog):
        follower.runs()
    client.set_terminated(run_id, "FINISHED")
    assert (follower.poll(), follower.ended, follower.runs()[0].complete) == (True, True, True)
    assert follower.runs()[0]["loss"].steps.tolist() == list(range(130))


def test_watching_a_run_until_it_is_over(tracking, capsys):
    run_id = tracking.run("watched", "diverging", falling(100), status="")
    worse = [("train/loss", 9.0 + k % 3, 1_700_000_100_000 + 1000 * k, 100 + k) for k in range(100)]

    def go_on():
        from mlflow.entities import Metric

        tracking.client().log_batch(run_id, [Metric(*value) for value in worse])
        tracking.client().set_terminated(run_id, "FAILED")

    threading.Timer(1, go_on).start()
    assert main(["watch", f"mlflow://{tracking.host}/watched", "--every", "1s", "--format", "jsonl"]) == 1
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert told[0]["type"] == "following"
    assert {"new", "crashed", "ended"} <= {line["type"] for line in told}
    assert any(line.get("rule") == "divergence" for line in told)


def test_the_last_begun_of_several_runs_is_followed(runs, capsys):
    assert read(run_at(runs).name).name == "at work"
    assert "holds several runs" in capsys.readouterr().err


def tags_of(tracking, run_id):
    return dict(tracking.client().get_run(run_id).data.tags)


def test_verdict_and_findings_are_written_back_where_that_is_asked(tracking, capsys):
    run_id = tracking.run(
        "written", "broken", [*falling(100), *[9.0 + k % 3 for k in range(50)]], tags={"mlflow.note.content": "mine"}
    )
    before = tags_of(tracking, run_id)
    main(["check", f"mlflow://{tracking.host}/written"])
    main(["check", f"mlflow://{tracking.host}/written", "--publish", "--dry-run"])
    assert tags_of(tracking, run_id) == before
    assert "would write to mlflow://" in capsys.readouterr().err
    assert main(["check", f"mlflow://{tracking.host}/written", "--publish"]) == 1
    written = tags_of(tracking, run_id)
    assert written.items() >= before.items()
    assert (written["lmdiag.verdict"], written["lmdiag.findings"]) == ("unhealthy", "divergence")
    assert written["lmdiag.summary"].startswith("error divergence, steps 100")
    assert main(["check", f"mlflow://{tracking.host}/written/{run_id}", "--publish", "--ignore", "divergence"]) != 2
    assert "divergence" not in tags_of(tracking, run_id)["lmdiag.findings"]


def test_publishing_is_for_addresses(capsys):
    assert main(["check", "run.jsonl", "--publish"]) == 2
    assert "--publish is for runs on servers" in capsys.readouterr().err


def test_a_cache_keeps_nothing_of_a_server(runs, proxy, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for _ in range(2):
        assert main(["check", f"mlflow://{proxy.host}/kinds/healthy", "--cache"]) == 0
    assert proxy.count("get-history") == 4
