"""A real MLflow server with runs in it, and a proxy in front of servers that counts questions, and fails where a test says so."""

import math
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import HTTPError, URLError

import numpy as np
import pytest

from lmdiag.judging.logs import judge
from lmdiag.trackers import mlflow, service

MEMORY = "/dev/shm"  # a disk would wait for each of some hundred transactions
CREDENTIALS = ("TRACKING_URI", "TRACKING_USERNAME", "TRACKING_PASSWORD", "TRACKING_TOKEN")


@pytest.fixture(autouse=True)
def nobodys_settings(monkeypatch, tmp_path):
    """No server, login or file of the person who runs the tests; and no waiting before another try."""
    for name in CREDENTIALS:
        monkeypatch.delenv(f"MLFLOW_{name}", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(service, "WAITS_S", (0.0, 0.0, 0.0))
    mlflow.known_service.cache_clear()


@dataclass
class Running:
    """A tracking server at work: its address, and the folder with its database."""

    host: str
    folder: str

    def client(self):
        from mlflow import MlflowClient

        return MlflowClient(f"http://{self.host}")

    def run(self, experiment, name, losses=(), status="FINISHED", params=None, tags=None, metrics=()):
        """Log a run: losses by step, one each second, and other metrics as (key, value, ms, step)."""
        from mlflow.entities import Metric, Param

        os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
        client = self.client()
        known = client.get_experiment_by_name(experiment)
        run = client.create_run(
            known.experiment_id if known else client.create_experiment(experiment), run_name=name, tags=tags or {}
        )
        values = [Metric("train/loss", value, 1_700_000_000_000 + 1000 * s, s) for s, value in enumerate(losses)]
        values += [Metric(*metric) for metric in metrics]
        settings = [Param(key, str(value)) for key, value in (params or {}).items()]
        for start in range(0, max(len(values), 1), 1000):
            client.log_batch(run.info.run_id, values[start : start + 1000], settings if not start else [])
        if status:
            client.set_terminated(run.info.run_id, status)
        return run.info.run_id

    def fill(self, run_id, losses):
        """Put the losses of a run into the database as the server would: one by one takes it long."""
        rows = [("train/loss", v, 1_700_000_000_000 + 1000 * s, run_id, s, 0) for s, v in enumerate(losses)]
        with closing(sqlite3.connect(f"{self.folder}/mlflow.db", timeout=60)) as database, database:
            database.executemany(
                "INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) VALUES (?, ?, ?, ?, ?, ?)",
                rows,
            )
            database.execute(
                "INSERT INTO latest_metrics (key, value, timestamp, run_uuid, step, is_nan) VALUES (?, ?, ?, ?, ?, ?)",
                rows[-1],
            )


@pytest.fixture(scope="session")
def tracking():
    """A `mlflow server` on a port of this machine."""
    pytest.importorskip("mlflow", reason="MLflow is not installed: its server cannot be started")
    with tempfile.TemporaryDirectory(dir=MEMORY if os.access(MEMORY, os.W_OK) else None) as folder:
        yield from serving(Path(folder))


def serving(folder):
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--default-artifact-root", str(folder / "artifacts")]
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        wait_for(f"http://127.0.0.1:{port}/health", server, folder / "server.log")
        yield Running(f"127.0.0.1:{port}", str(folder))
    finally:
        os.killpg(server.pid, 15)
        server.wait(30)


@pytest.fixture(scope="session")
def runs(tracking):
    """Runs of all kinds in one experiment."""
    broken = falling(300)
    broken[180] = math.nan
    broken[181] = math.inf
    rewound = [("train/loss", loss, 1_700_000_900_000 + 1000 * k, 150 + k) for k, loss in enumerate(falling(100, 3))]
    evaluations = [("val/loss", 3 - step / 200, 1_700_000_000_000 + 1000 * step, step) for step in range(0, 200, 20)]
    tracking.run(
        "kinds", "healthy", falling(), params={"max_steps": 200, "lr": 0.1}, tags={"team": "nlp"}, metrics=evaluations
    )
    tracking.run("kinds", "broken", broken, "FAILED", {"max_steps": 1000}, {"team": "vision", "note": 'it\'s "it"'})
    tracking.run("kinds", "resumed", falling(), "KILLED", metrics=rewound)
    tracking.run("kinds", "no steps", [], metrics=[("loss", 3 - k / 50, 1_700_000_000_000 + k, 0) for k in range(60)])
    tracking.run("kinds", "empty", [], metrics=[("system/cpu", 3.0, 1_700_000_000_000, 0)])
    tracking.run("kinds", "at work", falling(50), status="", tags={"team": "nlp"})
    return f"mlflow://{tracking.host}/kinds"


def free_port():
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        return server.server_address[1]


def wait_for(url, process, log, seconds=180):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except (URLError, OSError):
            time.sleep(0.2)
    raise AssertionError(f"the server did not start in {seconds} s: {log.read_text()}")


def falling(n=200, seed=0):
    """The losses of a healthy run."""
    noise = np.random.default_rng(seed).normal(0, 0.02, n)
    return [float(2 + 2 / math.sqrt(1 + step / 20) + noise[step]) for step in range(n)]


@dataclass
class Proxy:
    """Passes questions on to a server. `asked` are their paths; `failing` is {part of a path: how}, once for each entry in
    the list of it: a status, "cut" for an answer that ends in the middle, "reset" for none."""

    target: str
    host: str = ""
    asked: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    failing: dict[str, list] = field(default_factory=dict)

    def fate(self, path):
        return next((fates.pop(0) for part, fates in self.failing.items() if part in path and fates), None)

    def count(self, part):
        return sum(part in path for path in self.asked)


@pytest.fixture
def proxy(tracking):
    """A proxy in front of the MLflow server."""
    with passing_on(Proxy(f"http://{tracking.host}")) as found:
        yield found


class passing_on:
    """Runs a proxy."""

    def __init__(self, proxy):
        self.proxy = proxy
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"proxy": proxy}))

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.proxy.host = f"127.0.0.1:{self.server.server_address[1]}"
        return self.proxy

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class Quiet(BaseHTTPRequestHandler):
    """Answers, and prints nothing of it."""

    def log_message(self, *_):
        pass


@contextmanager
def answering(handler):
    """Run a server of this process on a port of its own while the block runs."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()


def said(path):
    """Return all that is said of the runs at an address, by their names: {name: (verdict, findings, curves, settings, events)}."""
    report = judge(path)
    assert not report.unreadable
    return {
        d.run.name.rpartition("#")[2]: (
            d.verdict,
            [(f.rule, f.first_step, f.last_step, f.message) for f in d.findings],
            {name: (str(s.steps.tolist()), str(s.values.tolist())) for name, s in d.run.series.items()},
            d.run.config,
            d.run.events,
        )
        for d in report.diagnoses
    }


class _Handler(BaseHTTPRequestHandler):
    proxy: Proxy

    def log_message(self, *_):
        pass

    def do_GET(self):
        self._pass(None)

    def do_POST(self):
        self._pass(self.rfile.read(int(self.headers["Content-Length"])))

    def _pass(self, body):
        path = self.path if body is None else f"{self.path} {body.decode()}"
        self.proxy.asked.append(path)
        self.proxy.headers.append(dict(self.headers))
        fate = self.proxy.fate(path)
        if fate == "reset":
            return self.connection.close()
        status, answer = self._answer(body) if not isinstance(fate, int) else (fate, b'{"message": "out of order"}')
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.send_header("Location", "http://127.0.0.1:1/") if 300 <= status < 400 else None
        self.end_headers()
        self.wfile.write(answer[: len(answer) // 2] if fate == "cut" else answer)
        return None

    def _answer(self, body):
        request = urllib.request.Request(f"{self.proxy.target}{self.path}", body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read()
        except HTTPError as error:
            return error.code, error.read()
