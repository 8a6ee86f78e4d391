"""Notices of `lmdiag watch`: sent by apprise to a service on this machine, once each, and by nobody in a dry run."""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec

import pytest

from tests.cli.conftest import falling, write_log

needs_apprise = pytest.mark.skipif(find_spec("apprise") is None, reason="apprise is not installed")


@pytest.fixture
def service():
    """A service that takes notices as JSON; `status` is its answer."""

    class Service(BaseHTTPRequestHandler):
        taken: list = []
        status = 200

        def log_message(self, *_):
            pass

        def do_POST(self):
            type(self).taken.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(self.status)
            self.end_headers()

    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        Service.url = f"json://me:hunter2@127.0.0.1:{server.server_address[1]}/hook"
        yield Service
        server.shutdown()


@pytest.fixture
def diverged(tmp_path):
    log = write_log(tmp_path / "run.jsonl", [*falling(200), *[9.0] * 100])
    with log.open("a") as file:
        file.write('{"type":"end","status":"crashed","step":300}\n')
    return log


@needs_apprise
def test_a_notice_is_sent_for_what_fails_the_gate(run, service, diverged):
    done = run("watch", diverged, "--every", "1s", "--until-error", "--notify", service.url)
    assert done.code == 1
    assert [notice["title"] for notice in service.taken] == ["lmdiag: divergence", "lmdiag: crashed"]
    assert "run.jsonl, step 300" in service.taken[0]["message"]
    assert "What to do: " in service.taken[0]["message"]
    assert "hunter2" not in done.out + done.err


@needs_apprise
def test_a_healthy_run_sends_none(run, service, good):
    good.open("a").write('{"type":"end","status":"completed","step":400}\n')
    assert run("watch", good, "--every", "1s", "--notify", service.url).code == 0
    assert service.taken == []


@needs_apprise
def test_a_dry_run_sends_nothing_and_runs_nothing(run, service, diverged, tmp_path):
    command = f"touch {tmp_path}/called"
    done = run(
        "watch", diverged, "--every", "1s", "--until-error", "--notify", service.url, "--exec", command, "--dry-run"
    )
    assert service.taken == []
    assert not (tmp_path / "called").exists()
    assert "--dry-run: a notice to json://… would say: lmdiag: divergence: " in done.err
    assert f"--dry-run: would run: {command}" in done.err
    assert "hunter2" not in done.out + done.err


@needs_apprise
def test_a_service_that_fails_is_said_and_hides_nothing(run, service, diverged, monkeypatch):
    broken = service.url.replace("/hook", "/broken")
    service.status = 500
    monkeypatch.setenv("LMDIAG_NOTIFY", f"{broken} json://127.0.0.1:1/nobody")
    done = run("watch", diverged, "--every", "1s", "--until-error")
    assert done.code == 1
    assert done.err.count("warning: the notice to json://… could not be sent") == 4
    assert len(service.taken) == 2
    assert "hunter2" not in done.out + done.err


@needs_apprise
@pytest.mark.parametrize("url", ["hunter2", "nosuch://hunter2/x", "slack://hunter2"])
def test_a_url_that_is_none_is_refused_before_anything_and_not_shown(run, good, url):
    done = run("watch", good, "--notify", url)
    assert done.code == 2
    assert "--notify: apprise knows no such service" in done.err
    assert "hunter2" not in done.err


def test_without_apprise_its_installation_is_named(run, good, monkeypatch):
    monkeypatch.setitem(sys.modules, "apprise", None)
    done = run("watch", good, "--notify", "json://host")
    assert done.code == 2
    assert "pip install apprise" in done.err
