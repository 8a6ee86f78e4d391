"""How servers are asked: one connection that is kept open, proxies, and what an answer may be."""

import json
import threading

import pytest

from lmdiag.errors import UnreadableLog
from lmdiag.trackers.service import Service
from tests.trackers.conftest import Quiet, answering


class _Handler(Quiet):
    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        self.server.connections += 1

    def do_GET(self):
        answer = json.dumps({"path": self.path, "login": self.headers.get("Proxy-Authorization")}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
        self.close_connection = self.path.endswith("last")  # without saying so

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()


@pytest.fixture
def server():
    with answering(_Handler) as found:
        found.connections = 0
        found.place = f"127.0.0.1:{found.server_address[1]}"
        yield found


def test_one_connection_serves_all_questions(server):
    service = Service("here", f"http://{server.place}/base/")
    assert service.get("one", a=1, b=None)["path"] == "/base/one?a=1"
    assert service.post("two", {"x": 1})["path"] == "/base/two"
    assert json.loads(service.content("three"))["path"] == "/base/three"
    assert server.connections == 1


def test_a_connection_that_the_server_closed_is_opened_again(server):
    service = Service("here", f"http://{server.place}")
    assert [service.get(path)["path"] for path in ("last", "one", "two")] == ["/last", "/one", "/two"]
    assert server.connections == 2


def test_threads_share_no_connection(server):
    service = Service("here", f"http://{server.place}")
    answers = {}

    def ask(number):
        answers[number] = [service.get(f"{number}/{k}")["path"] for k in range(20)]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {number: [f"/{number}/{k}" for k in range(20)] for number in range(4)}
    assert server.connections <= 4


def test_the_proxy_of_the_environment_is_asked(server, monkeypatch):
    monkeypatch.setenv("http_proxy", f"http://me:h%40nter2@{server.place}")
    monkeypatch.setenv("no_proxy", "localhost")
    answer = Service("there", "http://tracker.example:5000/base").get("one")
    assert answer == {"path": "http://tracker.example:5000/base/one", "login": "Basic bWU6aEBudGVyMg=="}


def test_no_proxy_for_a_server_that_is_exempt(server, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert Service("here", f"http://{server.place}").get("one") == {"path": "/one", "login": None}


@pytest.mark.parametrize("url", ["http://", "http://localhost:none", "http://a b"])
def test_what_is_no_host_is_said(url):
    with pytest.raises(UnreadableLog, match="nowhere"):
        Service("nowhere", url).get("one")
