"""Logs in repositories of the Hugging Face Hub: huggingface_hub as it is asks a server that answers as the Hub's documentation says.

These answers are no proof of what the Hub itself answers: https://huggingface.co/docs/hub/api.
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.conftest import bash
from tests.readers import event_writer
from tests.trackers.conftest import falling

pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")
pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def state(last_step):
    """What the Trainer writes into a checkpoint."""
    history = [{"step": step, "loss": loss, "epoch": step / 100} for step, loss in enumerate(falling(200), 1)]
    facts = {"global_step": last_step, "max_steps": 200, "log_history": history[:last_step]}
    return json.dumps(facts).encode()


def events(losses):
    """An event file of TensorBoard."""
    return event_writer.event_file(
        *(event_writer.event(step, event_writer.simple("train/loss", loss)) for step, loss in enumerate(losses))
    )


REPOSITORIES = {
    "models/user/model": {
        "README.md": b"# A model",
        "config.json": b"{}",
        "model.safetensors": b"weights",
        "checkpoint-100/trainer_state.json": state(100),
        "checkpoint-200/trainer_state.json": state(200),
        "runs/Jan01_00-00-00_host/events.out.tfevents.1.host": events(falling()),
    },
    "models/user/private": {"trainer_state.json": state(150)},
    "datasets/user/logs": {
        "sweep/a.jsonl": b"".join(b'{"step": %d, "loss": %f}\n' % (s, x) for s, x in enumerate(falling()))
    },
}


class Hub(BaseHTTPRequestHandler):
    """Repositories as the Hub serves them; `private` ones want a token."""

    protocol_version = "HTTP/1.1"
    asked: list[str] = []
    logins: set[str] = set()
    failing: dict[str, list[int]] = {}

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.answer(head=True)

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.answer()

    def do_GET(self):
        self.answer()

    def answer(self, head=False):
        path = unquote(urlsplit(self.path).path)
        type(self).asked.append(f"{self.command} {path}")
        type(self).logins.add(self.headers.get("Authorization", ""))
        fates = next((fates for part, fates in self.failing.items() if part in path and fates), None)
        status, body, headers = (fates.pop(0), b"out of order", {}) if fates else self.found(path.strip("/"))
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if not head:
            self.wfile.write(body)

    def found(self, path):
        """Answer as https://huggingface.co/docs/hub/api says of repositories, trees and files."""
        if path.startswith("api/"):
            kind, user, name, *rest = path.removeprefix("api/").split("/")
            repository = f"{kind}/{user}/{name}"
        else:
            kind = "datasets" if path.startswith("datasets/") else "models"
            user, name, *rest = path.removeprefix("datasets/").split("/")
            repository = f"{kind}/{user}/{name}"
        files = REPOSITORIES.get(repository)
        if files is None or ("private" in repository and self.headers.get("Authorization") != "Bearer hf_hunter2"):
            said = json.dumps({"error": "Invalid username or password."}).encode()
            return 401, said, {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Invalid username or password."}
        if rest[:1] == ["resolve"]:
            return self.file(files, "/".join(rest[2:]))
        if rest[:1] == ["tree"]:
            return self.tree(files, "/".join(rest[2:]), "recursive=true" in self.path.lower())
        about = {"id": f"{user}/{name}", "sha": COMMIT, "siblings": [{"rfilename": file} for file in files]}
        return 200, json.dumps(about).encode(), {"Content-Type": "application/json"}

    def file(self, files, name):
        if name not in files:
            return 404, b"", {"X-Error-Code": "EntryNotFound"}
        content = files[name]
        wanted = self.headers.get("Range", "")
        headers = {"X-Repo-Commit": COMMIT, "ETag": '"abc"', "Accept-Ranges": "bytes"}
        if wanted.startswith("bytes="):
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            end = min(int(last or len(content) - 1), len(content) - 1)
            headers["Content-Range"] = f"bytes {first}-{end}/{len(content)}"
            return 206, content[int(first) : end + 1], headers
        return 200, content, headers

    def tree(self, files, folder, recursive):
        start = f"{folder}/" if folder else ""
        inside = [name.removeprefix(start) for name in files if name.startswith(start)]
        if not inside:
            return 404, b"", {"X-Error-Code": "EntryNotFound"}
        folders = {name[:at] for name in inside for at in range(len(name)) if name[at] == "/"}
        entries = [{"type": "directory", "oid": "0", "size": 0, "path": start + name} for name in sorted(folders)]
        entries += [{"type": "file", "oid": "1", "size": len(files[start + n]), "path": start + n} for n in inside]
        shown = [e for e in entries if recursive or "/" not in e["path"].removeprefix(start)]
        return 200, json.dumps(shown).encode(), {"Content-Type": "application/json"}


@pytest.fixture
def hub():
    """The server, at work."""
    handler = type("Serving", (Hub,), {"asked": [], "logins": set(), "failing": {}})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        handler.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        yield handler
        server.shutdown()


@pytest.fixture
def lmdiag(hub, tmp_path, bin_folder):
    """Runs a command in a process of its own: huggingface_hub asks where its server is when it is imported."""

    def call(command, **variables):
        known = {"HF_ENDPOINT": hub.endpoint, "HF_HUB_DISABLE_XET": "1", **variables}
        return bash(f"lmdiag {command}", tmp_path, bin_folder, **known)

    return call


def runs(done):
    return {run["source"]: run for run in json.loads(done.stdout)["runs"]}


def test_the_states_and_event_files_of_a_model(lmdiag, hub):
    done = lmdiag("check hf://user/model -f json")
    assert done.returncode == 0, done.stdout + done.stderr
    found = runs(done)
    assert {name: run["steps"]["points"] for name, run in found.items()} == {
        "hf://user/model/checkpoint-200/trainer_state.json": 200,
        "hf://user/model/runs/Jan01_00-00-00_host/": 200,
    }
    assert not any("safetensors" in asked for asked in hub.asked)
    assert hub.logins == {""}


@pytest.mark.parametrize(
    "address",
    [
        "hf://user/model/checkpoint-100/trainer_state.json",
        "hf://user/model@main/checkpoint-100/trainer_state.json",
        "hf://datasets/user/logs/sweep/",
        "hf://datasets/user/logs/sweep/a.jsonl",
        "'hf://datasets/user/logs/sweep/*.jsonl'",
    ],
)
def test_files_folders_revisions_and_patterns(lmdiag, address):
    done = lmdiag(f"check {address} -f json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(runs(done)) == 1


def test_the_same_as_from_a_disk(lmdiag, tmp_path):
    (tmp_path / "trainer_state.json").write_bytes(state(100))
    (of_disk,) = runs(lmdiag("check trainer_state.json -f json")).values()
    (of_hub,) = runs(lmdiag("check hf://user/model/checkpoint-100/trainer_state.json -f json")).values()
    assert of_hub["findings"] == of_disk["findings"]
    assert of_hub["summary"] == of_disk["summary"]


def test_a_private_repository_wants_a_token_that_is_shown_to_nobody_else(lmdiag, hub):
    refused = lmdiag("check hf://user/private")
    assert refused.returncode == 2
    assert "HF_TOKEN" in refused.stdout
    done = lmdiag("check hf://user/private -f json", HF_TOKEN="hf_hunter2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert hub.logins == {"", "Bearer hf_hunter2"}
    hub.failing = {"private": [500] * 100}
    failed = lmdiag("check hf://user/private --jobs 1", HF_TOKEN="hf_hunter2", HF_HUB_DISABLE_PROGRESS_BARS="1")
    assert failed.returncode == 2
    assert not any("hunter2" in text for one in (done, failed) for text in (one.stdout, one.stderr))


def test_a_file_that_cannot_be_had_hides_no_other(lmdiag, hub):
    hub.failing = {"resolve/main/checkpoint-200": [500] * 100}
    done = lmdiag("check hf://user/model -f json")
    assert done.returncode == 2
    found = json.loads(done.stdout)
    assert [lost["source"] for lost in found["unreadable"]] == ["hf://user/model/checkpoint-200/trainer_state.json"]
    assert found["runs"]


def test_a_repository_that_does_not_exist(lmdiag):
    done = lmdiag("check hf://user/nothing")
    assert done.returncode == 2
    assert "hf://user/nothing" in done.stdout


def test_nothing_else_is_sent(lmdiag, hub):
    lmdiag("check hf://user/model")
    assert all("user/model" in asked for asked in hub.asked)
