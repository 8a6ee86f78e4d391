"""Runs of Comet: its own client asks a server that answers as the docstrings of `comet_ml.API` and
https://www.comet.com/docs/v2/api-and-sdk/rest-api/overview/ say. These answers are no proof of what Comet's server answers."""

import json
import math
from urllib.parse import parse_qsl, urlsplit

import pytest

from lmdiag.cli import main
from lmdiag.judging.logs import judge
from lmdiag.judging.reading import find, read
from lmdiag.readers.options import ReadOptions
from lmdiag.trackers import comet
from lmdiag.watching.tracked import TrackedFollower
from tests.trackers.conftest import Quiet, answering, falling

pytest.importorskip("comet_ml", reason="Comet's client is not installed")
pytestmark = pytest.mark.slow
BEGUN = 1_700_000_000_000


def experiment(key, name, losses, begun=0, **more):
    about = {"experimentKey": key, "experimentName": name, "startTimeMillis": BEGUN + begun, "running": False}
    about |= {"hasCrashed": False, "archived": False, "workspaceName": "lab", "projectName": "lm"} | more
    values = [
        {"metricName": "train_loss", "metricValue": str(loss), "timestamp": BEGUN + 1000 * step, "step": step}
        | {"epoch": step // 50, "runContext": "train", "offset": step}
        for step, loss in enumerate(losses)
    ]
    return about, values


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A server with a project of three experiments."""
    with answering(Handler) as found:
        found.experiments = [
            experiment("a" * 32, "healthy", falling(150), 3000),
            experiment("b" * 32, "broken", [*falling(100), math.nan, *falling(20, 3)], 2000, hasCrashed=True),
            experiment("c" * 32, "empty", [], 1000),
        ]
        found.asked, found.failing = [], {}
        monkeypatch.setenv("COMET_URL_OVERRIDE", f"http://127.0.0.1:{found.server_address[1]}/clientlib/")
        monkeypatch.setenv("COMET_API_KEY", "hunter2hunter2hunter2")
        monkeypatch.setenv("COMET_HTTP_SESSION_RETRY_BACKOFF_FACTOR", "0")
        comet._api.cache_clear()
        yield found


class Handler(Quiet):
    def do_GET(self):
        where = urlsplit(self.path)
        asked, question = dict(parse_qsl(where.query)), where.path.partition("/v2/")[2] or where.path
        self.server.asked.append((question, asked))
        fates = next((f for part, f in self.server.failing.items() if part in self.path and f), None)
        status = fates.pop(0) if fates else 200
        answer = self.found(question, asked) if status == 200 else {"msg": f"bad key {self.headers['Authorization']}"}
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def found(self, question, asked):
        if question == "experiments":
            if asked["projectName"] != "lm":
                return {"experiments": []}
            start, size = (int(asked["page"]) - 1) * int(asked["size"]), int(asked["size"])
            return {"experiments": [about for about, _ in self.server.experiments][start : start + size]}
        if "experimentKey" not in asked:
            return {"version": "9.9.9", "backend": "9.9.9"}
        about, values = next(e for e in self.server.experiments if e[0]["experimentKey"] == asked["experimentKey"])
        return {
            "experiment/metadata": about,
            "experiment/metrics/get-all": {"metrics": values[::-1]},
            "experiment/metrics/summary": {"values": [{"name": v["metricName"]} | v for v in values[-1:]]},
            "experiment/parameters": {"values": [{"name": "max_steps", "valueCurrent": "1000"}]},
            "experiment/tags": {"tags": ["team"] if about["experimentName"] == "healthy" else []},
        }[question]


def test_every_value_and_what_is_said_of_the_run(server):
    found = read("comet://lab/lm/healthy")
    assert found["loss"].values.tolist() == falling(150)
    assert found["epoch"].values.tolist() == [step // 50 for step in range(150)]
    assert (found.format, found.planned_steps) == ("comet", 1000)
    assert [event.fields for event in found.events] == [{"status": "completed"}]


def test_a_project(server):
    report = judge("comet://lab/lm")
    assert {d.run.name: d.verdict for d in report.diagnoses} == {"healthy": "healthy", "broken": "unhealthy"}
    assert [d.findings[0].first_step for d in report.diagnoses if d.run.name == "broken"] == [100]


def test_a_sample_is_said(server, monkeypatch):
    monkeypatch.setattr(comet, "MOST_VALUES", 150)
    assert any("Comet keeps a sample of 150 values" in note for note in read("comet://lab/lm/healthy").notes)
    assert not any("sample" in note for note in read("comet://lab/lm/broken").notes)


def test_pages_bring_every_experiment_once(server, monkeypatch):
    monkeypatch.setattr(comet, "RUNS_A_PAGE", 2)
    assert len({source.name for source in find(["comet://lab/lm"])[0]}) == 3


@pytest.mark.parametrize(
    ("rest", "keys"),
    [
        ("?state=failed", "b"),
        ("?state=finished&limit=1", "a"),
        ("?tag=team", "a"),
        ("?until=2020-01-01", ""),
        ("/broken", "b"),
        (f"/{'c' * 32}", "c"),
    ],
)
def test_which_experiments(server, rest, keys):
    assert [source.name[-1] for source in find([f"comet://lab/lm{rest}"])[0]] == list(keys)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("comet://lab", "names no project"),
        ("comet://lab/nothing", "has no runs there"),
        ("comet://lab/lm/nobody", "has no runs there"),
    ],
)
def test_what_is_not_there(server, address, message, capsys):
    assert main(["check", address]) == 2
    assert message in " ".join(capsys.readouterr().out.split())


def test_a_run_that_cannot_be_had_hides_no_other_and_no_secret_is_shown(server, capsys):
    server.failing = {f"get-all?experimentKey={'a' * 32}": [500] * 100}
    assert main(["check", "comet://lab/lm", "-f", "json"]) == 1
    written = capsys.readouterr()
    found = json.loads(written.out)
    assert [run["name"] for run in found["runs"]] == ["broken"]
    assert "Comet's client says" in found["unreadable"][0]["error"]
    assert "hunter2" not in written.out + written.err


def test_a_failure_that_passes_is_tried_again(server):
    server.failing = {"get-all": [503, 503]}
    assert len(read("comet://lab/lm/healthy")["loss"]) == 150


def test_without_a_login(server, monkeypatch, capsys, tmp_path):
    monkeypatch.delenv("COMET_API_KEY")
    monkeypatch.chdir(tmp_path)
    assert main(["check", "comet://lab/lm"]) == 2
    assert "Comet's client says" in capsys.readouterr().out


def test_following_asks_for_values_where_there_are_new_ones(server):
    server.experiments = [experiment("d" * 32, "at work", falling(60), running=True)]
    (source,), _ = find(["comet://lab/lm"])
    follower = TrackedFollower(source, ReadOptions(), 0)
    assert (follower.poll(), len(follower.runs()[0]["loss"]), follower.ended) == (True, 60, False)
    server.asked.clear()
    assert follower.poll() is False
    assert "experiment/metrics/get-all" not in [question for question, _ in server.asked]
    server.experiments = [experiment("d" * 32, "at work", falling(70))]
    assert (follower.poll(), follower.runs()[0]["loss"].values.tolist(), follower.ended) == (True, falling(70), True)
