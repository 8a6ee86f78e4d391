"""Runs of W&B: its own client asks a server that answers as the client's questions and the documentation of `wandb.Api` say.

These answers are no proof of what W&B's server answers: https://docs.wandb.ai/ref/python/public-api/.
"""

import io
import json
import math
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.readers import wandb_writer
from tests.trackers.conftest import falling

pytest.importorskip("wandb", reason="W&B's client is not installed")
pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
KEY = "0123456789abcdef0123456789abcdef01234567"


def rows(losses, first=0, each=1):
    """What `wandb.log` keeps of some losses."""
    return [
        {
            "_step": (first + k) * each,
            "_timestamp": 1_700_000_000.0 + k,
            "_runtime": float(k),
            "train/loss": loss,
            "lr": 1e-3,
        }
        for k, loss in enumerate(losses)
    ]


def broken():
    losses = falling(300)
    losses[200] = math.nan
    return losses


RUNS = {  # id: name, state, tags, rows
    "aaa": ("at work", "running", [], rows(falling(60))),
    "bbb": ("broken", "failed", ["big", "team=nlp"], rows(broken())),
    "ccc": ("healthy", "finished", ["team=nlp"], rows(falling(2500))),
    "ddd": ("counts tokens", "finished", [], rows(falling(200), each=1_000_000)),
    "eee": ("empty", "crashed", [], []),
}


class Server(BaseHTTPRequestHandler):
    """A GraphQL server with these runs."""

    asked: list = []
    failing: dict = {}
    runs: dict = {}
    written: list = []
    exports: dict = {}
    url: str = ""

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        """Serve a parquet file, into which the server exports runs that are over."""
        content = self.exports.get(self.path)
        if content is None:
            return self.answer(404, {})
        first, _, last = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
        part = content[int(first) : int(last or len(content) - 1) + 1] if first else content[-int(last) :]
        self.send_response(206 if "Range" in self.headers else 200)
        self.send_header("Content-Length", str(len(part)))
        self.send_header(
            "Content-Range", f"bytes {first or len(content) - len(part)}-{last or len(content) - 1}/{len(content)}"
        )
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
        return self.wfile.write(part) if self.command == "GET" else None

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if b"mutation UpsertBucket" in body:
            type(self).written.append(json.loads(body)["variables"])
            return self.answer(200, {"data": {"upsertBucket": {"bucket": {"id": "R"}}}})
        if self.path != "/graphql":
            type(self).asked.append((self.path, {}, ""))
            return self.answer(404, {})
        question = json.loads(body)
        name = question["query"].split("query ", 1)[1].split("(")[0].split("{")[0].strip()
        variables = question.get("variables") or {}
        type(self).asked.append((name, variables, self.headers.get("Authorization", "")))
        fates = next((fates for part, fates in self.failing.items() if part in f"{name} {variables}" and fates), None)
        if fates:
            return self.answer(fates.pop(0), {"errors": [{"message": "out of order"}]})
        return self.answer(200, {"data": self.found(name, variables)})

    def answer(self, status, content):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def found(self, name, asked):
        if "project" not in asked:
            return {
                "viewer": {
                    "id": "v",
                    "entity": "lab",
                    "username": "u",
                    "email": "",
                    "flags": "{}",
                    "teams": {"edges": []},
                }
            }
        if asked["project"] != "lm":
            return {"project": None}
        run_id = asked.get("run") or asked.get("runName") or asked.get("name")
        about = self.runs.get(run_id)
        if name == "Runs":
            return {"project": self.page(asked)}
        if about is None:
            return {"project": {"run": None}}
        if name == "RunHistoryKeys":
            return {
                "project": {"run": {"historyKeys": {"lastStep": about[3][-1]["_step"] if about[3] else -1, "keys": {}}}}
            }
        if name == "RunParquetHistory":
            urls = [f"{self.url}{path}" for path in self.exports if path.startswith(f"/{run_id}")]
            return {"project": {"run": {"parquetHistory": {"parquetUrls": urls, "liveData": []}}}}
        if name == "HistoryPage":
            inside = [row for row in about[3] if asked["minStep"] <= row["_step"] < asked["maxStep"]]
            assert len(inside) <= asked["pageSize"]
            lines = [json.dumps({k: "NaN" if v != v else v for k, v in row.items()}) for row in inside]
            return {"project": {"run": {"history": lines}}}
        assert name == "Run"
        return {"project": {"run": self.node(run_id)}}

    def node(self, run_id):
        name, state, tags, history = self.runs[run_id]
        config = {"max_steps": {"desc": None, "value": 2500}, "_wandb": {"value": {}}}
        plain = dict.fromkeys(("sweepName", "group", "jobType", "commit", "description", "notes"))
        return plain | {
            "id": f"R{run_id}",
            "projectId": "7",
            "name": run_id,
            "displayName": name,
            "state": state,
            "tags": tags,
            "config": json.dumps(config),
            "summaryMetrics": "{}",
            "systemMetrics": "{}",
            "createdAt": "2026-01-01T00:00:00",
            "heartbeatAt": "2026-01-01T00:00:00",
            "readOnly": False,
            "historyLineCount": len(history),
            "historyKeys": None,
            "user": {"name": "u", "username": "u"},
        }

    def page(self, asked):
        conditions = json.loads(asked["filters"])["$and"]
        names = [run for run in self.runs if all(self.fits(run, c) for c in conditions)]
        start = names.index(asked["cursor"]) + 1 if asked["cursor"] else 0
        page = names[start : start + asked["perPage"]]
        edges = [{"node": self.node(run), "cursor": run} for run in page]
        info = {"endCursor": page[-1] if page else None, "hasNextPage": start + len(page) < len(names)}
        return {
            "internalId": "7",
            "runCount": len(names),
            "readOnly": False,
            "runs": {"edges": edges, "pageInfo": info},
        }

    def fits(self, run, condition):
        name, state, tags, _ = self.runs[run]
        ((key, value),) = condition.items()
        return {
            "$or": lambda: any(self.fits(run, either) for either in value),
            "name": lambda: run == value,
            "display_name": lambda: name == value,
            "state": lambda: state in value["$in"],
            "tags": lambda: value in tags,
            "created_at": lambda: value.get("$gte", "2025") <= "2026-01-01" <= value.get("$lte", "2027"),
        }[key]()


@pytest.fixture
def server():
    handler = type("Serving", (Server,), {"asked": [], "failing": {}, "runs": dict(RUNS), "written": [], "exports": {}})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        handler.url = f"http://127.0.0.1:{serving.server_address[1]}"
        yield handler
        serving.shutdown()


@pytest.fixture
def lmdiag(server, tmp_path):
    """Runs a command in a process of its own: the client keeps a service for its process."""

    def call(*words, **variables):
        known = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
        known |= {
            "WANDB_BASE_URL": server.url,
            "NETRC": str(tmp_path / ".netrc"),
            "WANDB_API_KEY": KEY,
            "PYTHONPATH": str(ROOT),
            "HOME": str(tmp_path),
            **variables,
        }
        known = {name: value for name, value in known.items() if value}
        command = [sys.executable, "-m", "lmdiag", *words]
        return subprocess.run(command, cwd=tmp_path, env=known, capture_output=True, text=True, timeout=300)

    return call


def report(done):
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def test_the_runs_of_a_project(lmdiag, server):
    found = report(lmdiag("check", "wandb://lab/lm", "-f", "json"))
    assert [(run["name"], run["verdict"]) for run in found["runs"]] == [
        ("at work", "healthy"),
        ("broken", "unhealthy"),
        ("healthy", "healthy"),
        ("counts tokens", "healthy"),
    ]
    assert [run["steps"]["points"] for run in found["runs"]] == [60, 300, 2500, 200]
    assert [run["steps"]["complete"] for run in found["runs"]] == [False, False, True, True]
    assert not found["unreadable"]
    names = [name for name, *_ in server.asked]
    assert names.count("Runs") == 1
    pages = {run: sum(n == "HistoryPage" and v["run"] == run for n, v, _ in server.asked) for run in RUNS}
    assert pages == {"aaa": 1, "bbb": 1, "ccc": 3, "ddd": 1, "eee": 0}
    about = [(v.get("run") or v.get("runName") or v.get("name")) for n, v, _ in server.asked if n != "HistoryPage"]
    assert about.count("ccc") == 4
    assert {login for name, _, login in server.asked if name != "/graphql"} == {server.asked[0][2]}
    assert not any(name.startswith("/") for name in names)  # neither errors nor statistics are told to anybody


def test_the_same_as_from_the_file_of_the_run(lmdiag, tmp_path):
    records = [wandb_writer.run("bbb", "broken", {"max_steps": 2500})]
    for row in RUNS["bbb"][3]:
        values = {
            key.replace("/", "__"): "NaN" if value != value else value for key, value in row.items() if key != "_step"
        }
        records.append(wandb_writer.history(row["_step"], nested_keys=False, **values))
    (tmp_path / "run-bbb.wandb").write_bytes(wandb_writer.wandb_file(*records, wandb_writer.exit_record(1)))
    (of_disk,) = report(lmdiag("check", "run-bbb.wandb", "-f", "json"))["runs"]
    (of_server,) = report(lmdiag("check", "wandb://lab/lm/bbb", "-f", "json"))["runs"]
    assert of_disk["verdict"] == "unhealthy"
    for part in ("name", "verdict", "steps", "summary", "findings"):
        assert of_server[part] == of_disk[part], part


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["wandb://lab/lm/ccc"], ["healthy"]),
        (["wandb://lab/lm/healthy"], ["healthy"]),
        (["wandb://lab/lm", "--limit", "2"], ["at work", "broken"]),
        (["wandb://lab/lm", "--state", "failed"], ["broken"]),
        (["wandb://lab/lm", "--tag", "team=nlp", "--tag", "big"], ["broken"]),
        (["wandb://lab/lm?since=2025-06-01&until=2026-06-01&state=running"], ["at work"]),
        (["wandb://lab/lm?since=2026-06-01"], []),
    ],
)
def test_one_run_and_filters(lmdiag, words, names):
    found = report(lmdiag("check", *words, "-f", "json"))
    assert [run["name"] for run in found["runs"]] == names


@pytest.mark.parametrize(
    "address", ["wandb://lab/nothing", "wandb://lab/lm/nobody", "wandb://lab", "wandb://lab/lm/a/b"]
)
def test_what_is_not_there(lmdiag, address):
    done = lmdiag("check", address)
    assert done.returncode == 2
    assert "Hint" in done.stdout


def test_without_a_login_nobody_is_asked_for_one(lmdiag, server):
    done = lmdiag("check", "wandb://lab/lm", WANDB_API_KEY="")
    assert done.returncode == 2
    assert "No API key configured" in done.stdout
    assert server.asked == []


def test_the_login_of_the_clients_own_file(lmdiag, server, tmp_path):
    netrc = tmp_path / ".netrc"
    netrc.write_text(f"machine {server.url.removeprefix('http://')}\n  login user\n  password {KEY}\n")
    netrc.chmod(0o600)
    done = lmdiag("check", "wandb://lab/lm/ccc", WANDB_API_KEY="")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_failure_that_passes_is_tried_again(lmdiag, server):
    server.failing = {"HistoryPage": [500, 503]}
    assert lmdiag("check", "wandb://lab/lm/ccc").returncode == 0


def test_a_run_that_cannot_be_had_hides_no_other_and_shows_no_login(lmdiag, server):
    server.failing = {"'run': 'bbb'": [500] * 100}
    done = lmdiag("check", "wandb://lab/lm", "-f", "json", "--jobs", "1")
    found = report(done)
    assert [lost["source"] for lost in found["unreadable"]] == ["wandb://lab/lm/bbb"]
    assert [run["name"] for run in found["runs"]] == ["at work", "healthy", "counts tokens"]
    assert sum(name == "HistoryPage" and asked["run"] == "bbb" for name, asked, _ in server.asked) == 4
    server.failing = {"Runs": [401] * 100}
    refused = lmdiag("check", "wandb://lab/lm")
    assert refused.returncode == 2
    assert KEY not in done.stdout + done.stderr + refused.stdout + refused.stderr


def test_rows_that_the_server_counts_and_does_not_give_are_said(lmdiag, server, monkeypatch):
    found = server.found
    monkeypatch.setattr(
        server,
        "found",
        lambda self, name, asked: (
            {"project": {"run": {"history": []}}} if asked.get("minStep") == 1000 else found(self, name, asked)
        ),
    )
    (run,) = report(lmdiag("check", "wandb://lab/lm/ccc", "-f", "json"))["runs"]
    assert "The server counts 2,500 rows of this run, and gave 1,500." in run["notes"]


def test_watching_asks_only_for_new_rows(lmdiag, server):
    first, rest = rows(falling(60)), rows([9.0 + k % 3 for k in range(60)], 60)
    server.runs["aaa"] = ("at work", "running", [], first)

    def go_on():
        while not any(name == "HistoryPage" for name, *_ in server.asked):
            time.sleep(0.05)
        server.runs["aaa"] = ("at work", "failed", [], first + rest)

    threading.Thread(target=go_on, daemon=True).start()
    done = lmdiag("watch", "wandb://lab/lm/aaa", "--every", "1s", "--format", "jsonl")
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1, done.stderr
    assert {"following", "new", "crashed", "ended"} <= {line["type"] for line in told}
    assert [asked["minStep"] for name, asked, _ in server.asked if name == "HistoryPage"] == [0, 60]


def test_the_verdict_is_written_back_to_runs_that_are_over(lmdiag, server):
    assert lmdiag("check", "wandb://lab/lm/bbb", "--publish", "--dry-run").returncode == 1
    assert server.written == []
    done = lmdiag("check", "wandb://lab/lm", "--state", "failed,running", "--publish")
    assert done.returncode == 1
    assert "nothing was written to wandb://lab/lm/aaa: the run is at work" in done.stderr
    assert {asked["id"] for asked in server.written} == {"Rbbb"}
    (tags,) = [asked["tags"] for asked in server.written if "tags" in asked]
    assert tags == ["big", "team=nlp", "lmdiag:unhealthy"]
    summary = json.loads(server.written[-1]["summaryMetrics"])
    assert summary["lmdiag/verdict"] == "unhealthy"
    assert summary["lmdiag/findings"] == "non-finite-loss, crashed-run"


def test_a_run_that_the_server_has_exported_is_read_from_there(lmdiag, server):
    import polars as pl

    whole = lmdiag("check", "wandb://lab/lm/bbb", "-f", "json")
    file = io.BytesIO()
    pl.DataFrame(RUNS["bbb"][3]).write_parquet(file)
    server.exports["/bbb/0.parquet"] = file.getvalue()
    before = len(server.asked)
    exported = lmdiag("check", "wandb://lab/lm/bbb", "-f", "json")
    one, two = report(exported)["runs"][0], report(whole)["runs"][0]
    for run in (one, two):  # the columns of a parquet file have an order of their own
        run["account"]["columns"].sort(key=lambda column: column["name"])
    assert one == two
    assert not any(name == "HistoryPage" for name, *_ in server.asked[before:])
