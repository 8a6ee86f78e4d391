"""A server that fails for a while or for good, and what is told of it: no run is hidden, and no credential shown."""

import json
import threading

import pytest

from lmdiag.cli import main
from lmdiag.judging.logs import judge
from lmdiag.judging.reading import find, read
from lmdiag.trackers import mlflow
from tests.trackers.conftest import _Handler

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("how", [500, 503, 429, "cut", "reset"])
def test_a_failure_that_passes_is_tried_again(runs, proxy, how):
    proxy.failing = {"runs/search": [how], "get-history": [how, how]}
    assert (
        read(f"mlflow://{proxy.host}/kinds/healthy")["loss"].values.tolist()
        == read(f"{runs}/healthy")["loss"].values.tolist()
    )


@pytest.mark.parametrize("how", [500, "cut", "reset"])
def test_a_run_that_cannot_be_had_hides_no_other(runs, proxy, how):
    broken = read(f"{runs}/broken").source.rpartition("/")[2]
    proxy.failing = {f"run_id={broken}": [how] * 100}
    report = judge(f"mlflow://{proxy.host}/kinds")
    assert [d.run.name for d in report.diagnoses] == ["at work", "no steps", "resumed", "healthy"]
    (lost,) = report.unreadable
    assert lost.source.endswith(broken)
    assert proxy.count(f"run_id={broken}") == 4


def test_a_page_of_runs_that_fails_hides_no_run_of_those_before(runs, proxy, monkeypatch):
    monkeypatch.setattr(mlflow, "RUNS_A_PAGE", 3)
    proxy.failing = {"page_token": [500] * 100}
    report = judge(f"mlflow://{proxy.host}/kinds")
    assert [d.run.name for d in report.diagnoses] == ["at work", "no steps"]
    assert "answered 500 out of order" in report.unreadable[0].error


def test_a_server_that_is_gone_is_tried_once_for_each_run_that_is_left(runs, proxy):
    proxy.failing = {"get-history": [500] * 100}
    assert len(judge(f"mlflow://{proxy.host}/kinds").unreadable) == 5
    assert proxy.count("get-history") == 4 + 1 + 1 + 1 + 1


def test_a_server_that_is_silent_is_left(runs, proxy, monkeypatch):
    monkeypatch.setattr(mlflow.Service, "timeout_s", 0.3)
    held = threading.Event()
    monkeypatch.setattr(proxy, "fate", lambda path: held.wait(5) if "get-history" in path else None)
    try:
        report = judge(f"mlflow://{proxy.host}/kinds/healthy")
    finally:
        held.set()
    assert "does not answer: timed out" in report.unreadable[0].error.replace("The read operation timed", "timed")


@pytest.mark.parametrize(
    ("variables", "header"),
    [
        ({"USERNAME": "me", "PASSWORD": "hunter2"}, "Basic bWU6aHVudGVyMg=="),
        ({"TOKEN": "hunter2"}, "Bearer hunter2"),
    ],
)
def test_credentials_reach_the_server_and_nobody_else(runs, proxy, variables, header, monkeypatch, capsys):
    for name, value in variables.items():
        monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", value)
    assert main(["check", f"mlflow://{proxy.host}/kinds/healthy"]) == 0
    assert {headers["Authorization"] for headers in proxy.headers} == {header}
    secrets = ("hunter2", header.split()[1])
    for status in (401, 403, 302, 404):
        proxy.failing = {"get-history": [status]}
        main(["check", f"mlflow://{proxy.host}/kinds/healthy", "-f", "json"])
    written = capsys.readouterr()
    assert not any(secret in written.out + written.err for secret in secrets)
    assert "answered 302" in written.out


def test_credentials_of_the_file(runs, proxy, tmp_path):
    (tmp_path / ".mlflow").mkdir()
    (tmp_path / ".mlflow" / "credentials").write_text(
        "[mlflow]\nmlflow_tracking_username = me\nmlflow_tracking_password = h%nter2\n"
    )
    read(f"mlflow://{proxy.host}/kinds/healthy")
    assert {headers["Authorization"] for headers in proxy.headers} == {"Basic bWU6aCVudGVyMg=="}


def test_what_a_server_repeats_of_a_credential_is_not_shown(proxy, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "hunter2")
    monkeypatch.setattr(
        "tests.trackers.conftest._Handler._answer", lambda self, body: (401, b'{"message": "bad token hunter2"}')
    )
    _, (problem,) = find([f"mlflow://{proxy.host}/kinds"])
    assert "answered 401 bad token …" in problem.message


def test_another_server_is_not_taken_for_one(proxy, monkeypatch):
    monkeypatch.setattr(
        "tests.trackers.conftest._Handler._answer", lambda self, body: (200, b"<html>Please log in</html>")
    )
    _, (problem,) = find([f"mlflow://{proxy.host}/kinds"])
    assert "something else than JSON" in problem.message


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"ok": True},
        {"experiment": {}},
        {"experiment": None},
        {"experiment": {"experiment_id": "1", "name": "e"}, "runs": [{}]},
    ],
)
def test_answers_that_are_none_hide_no_other_path(runs, proxy, monkeypatch, answer):
    monkeypatch.setattr(
        "tests.trackers.conftest._Handler._answer", lambda self, body: (200, json.dumps(answer).encode())
    )
    report = judge([f"mlflow://{proxy.host}/kinds", f"{runs}/healthy"])
    assert [d.run.name for d in report.diagnoses] == ["healthy"]
    assert len(report.unreadable) == 1


def test_a_value_that_is_no_number_is_counted_and_said(runs, proxy, monkeypatch):
    answer = _Handler._answer

    def broken(self, body):
        status, content = answer(self, body)
        return status, content.replace(b'"step": 7\n', b'"step": "seven"\n') if "get-history" in self.path else content

    monkeypatch.setattr(_Handler, "_answer", broken)
    found = read(f"mlflow://{proxy.host}/kinds/healthy")
    assert (len(found["loss"]), [skipped.reason for skipped in found.skipped]) == (
        199,
        ["value of a metric without a number"],
    )


def test_a_run_that_takes_nothing_is_said_and_changes_no_verdict(runs, proxy, capsys):
    proxy.failing = {"log-batch": [403]}
    assert main(["check", f"mlflow://{proxy.host}/kinds/healthy", "--publish"]) == 0
    assert "nothing was written to mlflow://" in capsys.readouterr().err
