"""Runs of SwanLab: its own client asks a server that answers as the client and https://docs.swanlab.cn/en/api/py-api.html say.
These answers are no proof of what SwanLab's server answers."""

import json
import math
from urllib.parse import parse_qsl, urlsplit

import pytest

from lmdiag.cli import main
from lmdiag.judging.logs import judge
from lmdiag.judging.reading import find, read
from lmdiag.readers.options import ReadOptions
from lmdiag.trackers import swanlab
from lmdiag.watching.tracked import TrackedFollower
from tests.trackers.conftest import Quiet, answering, falling

pytest.importorskip("swanlab", reason="SwanLab's client is not installed")
pytestmark = pytest.mark.slow
KEY = "hunter2hunter2hunter2"


def run(run_id, name, state, losses, created="2026-11-01T10:00:00.000Z", labels=()):
    config = {"max_steps": {"value": 1000, "desc": "", "sort": 0}}
    about = {"cuid": run_id, "slug": run_id, "name": name, "state": state, "createdAt": created, "type": "run"}
    about |= {"labels": [{"name": label} for label in labels], "profile": {"config": config}, "show": True}
    return about, {
        "train/loss": list(enumerate(losses)),
        "val/loss": [(s, v + 0.1) for s, v in enumerate(losses)][::10],
    }


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A server with a project of three runs."""
    with answering(Handler) as found:
        broken = [*falling(100), math.nan, *falling(20, 3)]
        found.runs = [
            run("aaa", "healthy", "FINISHED", falling(150), "2026-11-02T10:00:00.000Z", ["team"]),
            run("bbb", "broken", "CRASHED", broken),
            run("ccc", "empty", "ABORTED", [], "2026-10-01T10:00:00.000Z"),
        ]
        found.asked, found.lost, found.export = [], "nothing", {}
        found.url = f"http://127.0.0.1:{found.server_address[1]}"
        monkeypatch.setenv("SWANLAB_API_HOST", found.url)
        monkeypatch.setenv("SWANLAB_WEB_HOST", found.url)
        monkeypatch.setenv("SWANLAB_API_KEY", KEY)
        monkeypatch.setenv("SWANLAB_SAVE_DIR", str(tmp_path))
        swanlab._api.cache_clear()
        yield found


class Handler(Quiet):
    def do_GET(self):
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        where = urlsplit(self.path)
        self.server.asked.append(where.path)
        lost = self.server.lost in where.path and "aaa" in f"{where.path}{body}"
        answer = None if lost else self.found(where.path, dict(parse_qsl(where.query)), body)
        status = 404 if answer is None else 200
        answer = {"code": "no", "message": f"bad key {KEY}"} if answer is None else answer
        content = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET

    def found(self, path, query, body):
        runs = {about["cuid"]: (about, metrics) for about, metrics in self.server.runs}
        if path.startswith("/export/"):
            return self.server.export[path]
        match path.removeprefix("/api").strip("/").split("/"):
            case ["login", "api_key"]:
                return {
                    "sid": "s",
                    "expiredAt": "2099-01-01T00:00:00.000Z",
                    "userInfo": {"username": "me", "name": "Me"},
                }
            case ["project", "me", "lm"]:
                return {"cuid": "p1", "name": "lm"}
            case ["project", "me", "lm", "runs"]:
                page, size = int(query["page"]), int(query["size"])
                listed = [about for about, _ in self.server.runs]
                part = listed[(page - 1) * size : page * size]
                return {"list": part, "total": len(listed), "pages": -(-len(listed) // size), "size": size}
            case ["project", "me", "lm", "runs", key] if key in runs:
                return runs[key][0]
            case ["house", "metrics", "scalar", "keys"]:
                metrics = runs[body["experiments"][0]["experimentId"]][1]
                return {
                    "keys": [key for key, values in metrics.items() if values] + ["__swanlab__.cpu"],
                    "hasMore": False,
                }
            case ["house", "metrics", "summaries"]:
                key = body["experiments"][0]["experimentId"]
                return {key: {name: {"latest": {"index": len(v)}} for name, v in runs[key][1].items() if v}}
            case ["house", "metrics", "scalar", "value"]:
                return []
            case ["house", "metrics", "scalar", "export"]:
                asked = body["columns"]
                metrics = runs[asked[0]["experimentId"]][1]
                path = f"/export/{len(self.server.export)}.csv"
                self.server.export[path] = table([dict(metrics[column["key"]]) for column in asked])
                return {"cosKey": path}
            case ["files", "presigned", "get"]:
                return {"urls": [f"{self.server.url}{path}" for path in body["paths"]]}
        return None


def table(columns):
    """The export: a row for each step, and of each metric a value and a time in ms."""
    lines = ["step" + "".join(f",r-{k}_step,r-{k}_timestamp" for k in range(len(columns)))]
    for step in sorted({step for column in columns for step in column}):
        cells = (f"{column[step]},{1_700_000_000_000 + 1000 * step}" if step in column else "," for column in columns)
        lines.append(f"{step},{','.join(cells)}")
    return "\n".join(lines) + "\n"


def test_every_value_and_what_is_said_of_the_run(server, capsys):
    found = read("swanlab://me/lm/healthy")
    assert found["loss"].values.tolist() == falling(150)
    assert len(found["val/loss"]) == 15
    assert (found.format, found.planned_steps) == ("swanlab", 1000)
    assert [event.fields for event in found.events] == [{"status": "completed"}]
    assert capsys.readouterr() == ("", "")


def test_a_project(server):
    report = judge("swanlab://me/lm")
    assert {d.run.name: d.verdict for d in report.diagnoses} == {"healthy": "healthy", "broken": "unhealthy"}
    assert [d.findings[0].first_step for d in report.diagnoses if d.run.name == "broken"] == [100]


@pytest.mark.parametrize(
    ("rest", "ids"),
    [
        ("?state=failed", ["bbb"]),
        ("?tag=team", ["aaa"]),
        ("?limit=1", ["aaa"]),
        ("?until=2026-10-02", ["ccc"]),
        ("/broken", ["bbb"]),
        ("/ccc", ["ccc"]),
    ],
)
def test_which_runs(server, rest, ids):
    assert [source.name[-3:] for source in find([f"swanlab://me/lm{rest}"])[0]] == ids


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("swanlab://me", "names no project"),
        ("swanlab://me/nothing", "SwanLab's client says"),
        ("swanlab://me/lm/nobody", "has no runs there"),
    ],
)
def test_what_is_not_there(server, address, message, capsys):
    assert main(["check", address]) == 2
    written = capsys.readouterr()
    assert message in " ".join(written.out.split())
    assert KEY not in written.out + written.err


@pytest.mark.parametrize("lost", ["scalar/keys", "scalar/export", "runs/aaa"])
def test_what_fails_in_silence_is_said_and_hides_no_other(server, lost):
    """The client notes an answer that failed, and returns an empty one."""
    server.lost = lost
    report = judge("swanlab://me/lm")
    assert [unreadable.source for unreadable in report.unreadable] == ["swanlab://me/lm/aaa"]
    assert [d.run.name for d in report.diagnoses] == ["broken"]


def test_following_asks_for_values_where_there_are_new_ones(server):
    server.runs = [run("ddd", "at work", "RUNNING", falling(60))]
    (source,), _ = find(["swanlab://me/lm"])
    follower = TrackedFollower(source, ReadOptions(), 0)
    assert (follower.poll(), len(follower.runs()[0]["loss"]), follower.ended) == (True, 60, False)
    server.asked.clear()
    assert follower.poll() is False
    assert not any("export" in path for path in server.asked)
    server.runs = [run("ddd", "at work", "FINISHED", falling(70))]
    assert (follower.poll(), follower.runs()[0]["loss"].values.tolist(), follower.ended) == (True, falling(70), True)
