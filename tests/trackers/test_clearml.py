"""Runs of ClearML: its own client asks a server that answers as https://clear.ml/docs/latest/docs/references/api/ and the
schemas in the client say. These answers are no proof of what ClearML's server answers."""

import base64
import json
import math
import re

import pytest

from lmdiag.cli import main
from lmdiag.judging.logs import judge
from lmdiag.judging.reading import find, read
from lmdiag.readers.options import ReadOptions
from lmdiag.trackers import clearml
from lmdiag.watching.tracked import TrackedFollower
from tests.trackers.conftest import Quiet, answering, falling

pytest.importorskip("clearml", reason="ClearML's client is not installed")
pytestmark = pytest.mark.slow
TOKEN = {"api_version": "2.30", "server_version": "2.3.0", "exp": 9_999_999_999}


def events(losses, first=0):
    """What is kept of some losses: 0.0 for what is not finite."""
    for step, loss in enumerate(losses, first):
        stored = loss if math.isfinite(loss) else 0.0
        event = {"type": "training_stats_scalar", "task": "t", "timestamp": 1_700_000_000_000 + 1000 * step}
        yield event | {"metric": "train", "variant": "loss", "iter": step, "value": stored}
        yield event | {"metric": ":monitor:machine", "variant": "cpu_usage", "iter": step, "value": 3.0}


def task(name, status, losses, **more):
    about = {"id": f"id-of-{name}", "name": name, "status": status, "last_iteration": len(losses)} | more
    about["hyperparams"] = {"Args": {"max_steps": {"section": "Args", "name": "max_steps", "value": "1000"}}}
    return about, list(events(losses))


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A server with a project of three tasks."""
    with answering(Handler) as found:
        broken = [*falling(100), math.nan, *falling(20, 3)]
        found.tasks = [
            task("healthy", "completed", falling(700), tags=["team"], started="2026-11-02T10:00:00.123000+00:00"),
            task("broken", "failed", broken, started="2026-11-01T10:00:00.123000+00:00"),
            task("empty", "created", [], created="2026-10-01T10:00:00+00:00"),
        ]
        found.asked, found.failing, found.workers = [], {}, set()
        monkeypatch.setenv("CLEARML_API_HOST", f"http://127.0.0.1:{found.server_address[1]}")
        monkeypatch.setenv("CLEARML_API_ACCESS_KEY", "me")
        monkeypatch.setenv("CLEARML_API_SECRET_KEY", "hunter2")
        monkeypatch.setattr(clearml, "RETRIES", clearml.RETRIES | {"backoff_factor": 0})
        clearml._client.cache_clear()
        yield found


class Handler(Quiet):
    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        action, asked = self.path.rpartition("/")[2], json.loads(body or b"{}")
        self.server.asked.append((action, asked))
        self.server.workers.add(self.headers["X-ClearML-Worker"])
        fates = next((f for part, f in self.server.failing.items() if part in f"{action} {asked}" and f), None)
        code = fates.pop(0) if fates else 200
        meta = {
            "id": "i",
            "trx": "i",
            "endpoint": {"name": action, "requested_version": "2.30", "actual_version": "1.0"},
        }
        meta |= {"result_code": code, "result_subcode": 0, "result_msg": "OK" if code == 200 else "bad key hunter2"}
        data = getattr(self, action.replace(".", "_"))(**asked) if code == 200 else {}
        answer = json.dumps({"meta": meta | {"error_stack": ""}, "data": data}).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_GET

    def auth_login(self, **_):
        parts = ({"alg": "none"}, TOKEN, {})
        return {"token": ".".join(base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts)}

    def projects_get_all(self, name, **_):
        known = [{"id": "p1", "name": "pre/training (1)"}, {"id": "p2", "name": "pre/training (1) b"}]
        return {"projects": [project for project in known if re.search(name, project["name"])]}

    def tasks_get_all(self, page=0, page_size=500, id=None, **_):
        found = [about for about, _ in self.server.tasks if id is None or about["id"] in id]
        return {"tasks": found[page * page_size : (page + 1) * page_size]}

    def events_get_task_events(self, task, batch_size, order="asc", scroll_id=None, **_):
        (found,) = (kept for about, kept in self.server.tasks if about["id"] == task)
        found = sorted(found, key=lambda event: event["timestamp"], reverse=order == "desc")
        start = int(scroll_id or 0)
        page = found[start : start + batch_size]
        return {"events": page, "returned": len(page), "total": len(found), "scroll_id": str(start + batch_size)}


PROJECT = "clearml://pre%2Ftraining (1)"


def test_every_value_and_what_is_said_of_the_run(server):
    found = read(f"{PROJECT}/healthy")
    assert found["loss"].values.tolist() == falling(700)
    assert (found.format, found.planned_steps) == ("clearml", 1000)
    assert [event.fields for event in found.events] == [{"status": "completed"}]
    assert server.workers == {"lmdiag"}


def test_a_nan_is_known_from_its_zero(server):
    report = judge(PROJECT)
    assert {d.run.name: d.verdict for d in report.diagnoses}["broken"] == "unhealthy"
    assert [d.findings[0].first_step for d in report.diagnoses if d.run.name == "broken"] == [100]
    assert len(report.diagnoses) == 2  # the third has no values


def test_pages_bring_every_task_and_event_once(server, monkeypatch):
    monkeypatch.setattr(clearml, "TASKS_A_PAGE", 2)
    monkeypatch.setattr(clearml, "EVENTS_A_PAGE", 100)
    assert len(find([PROJECT])[0]) == 3
    assert len(read(f"{PROJECT}/id-of-healthy")["loss"]) == 700
    assert [a for a, _ in server.asked].count("events.get_task_events") == 15


@pytest.mark.parametrize(
    ("rest", "names"),
    [
        ("?state=failed", ["broken"]),
        ("?state=finished,failed&since=2026-11-02", ["healthy"]),
        ("?tag=team", ["healthy"]),
        ("?limit=1", ["healthy"]),
        ("/broken", ["broken"]),
        ("/id-of-broken", ["broken"]),
    ],
)
def test_which_tasks(server, rest, names):
    assert [json.loads(source.content)["name"] for source in find([PROJECT + rest])[0]] == names


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("clearml://nothing", "there is no project 'nothing'"),
        ("clearml://pre", "there is no project 'pre'"),
        ("clearml://", "names no project"),
        (f"{PROJECT}/nobody", "has no runs there"),
        (f"{PROJECT}/a/b", "names no project"),
    ],
)
def test_what_is_not_there(server, address, message, capsys):
    assert main(["check", address]) == 2
    assert message in " ".join(capsys.readouterr().out.split())


def test_a_run_that_cannot_be_had_hides_no_other_and_no_secret_is_shown(server, capsys):
    server.failing = {"id-of-healthy": [500] * 100}
    assert main(["check", PROJECT, "-f", "json"]) == 1
    written = capsys.readouterr()
    found = json.loads(written.out)
    assert [run["name"] for run in found["runs"]] == ["broken"]
    assert "ClearML's client says" in found["unreadable"][0]["error"]
    assert "hunter2" not in written.out + written.err


def test_a_failure_that_passes_is_tried_again(server):
    server.failing = {"get_task_events": [503, 503]}
    assert len(read(f"{PROJECT}/healthy")["loss"]) == 700


def test_without_a_login(server, monkeypatch, capsys, tmp_path):
    for name in ("HOST", "ACCESS_KEY", "SECRET_KEY"):
        monkeypatch.delenv(f"CLEARML_API_{name}")
    monkeypatch.setenv("CLEARML_CONFIG_FILE", str(tmp_path / "none.conf"))
    assert main(["check", PROJECT]) == 2
    assert "ClearML's client says" in capsys.readouterr().out


def test_following_asks_from_the_last_event_back(server, monkeypatch):
    monkeypatch.setattr(clearml, "EVENTS_A_PAGE", 100)
    server.tasks = [task("at work", "in_progress", falling(300))]
    (source,), _ = find([PROJECT])
    follower = TrackedFollower(source, ReadOptions(), 0)
    assert (follower.poll(), len(follower.runs()[0]["loss"]), follower.ended) == (True, 300, False)
    server.asked.clear()
    assert follower.poll() is False
    assert [action for action, _ in server.asked] == ["tasks.get_all"]
    server.tasks = [task("at work", "completed", falling(310))]
    server.asked.clear()
    assert (follower.poll(), follower.runs()[0]["loss"].values.tolist(), follower.ended) == (True, falling(310), True)
    assert [action for action, _ in server.asked].count("events.get_task_events") == 2
