"""Agents ask by the official SDK's own client, and learn of no log outside the places that were named."""

import asyncio
import os
import sys

import numpy as np
import pytest

mcp = pytest.importorskip("mcp")

from lmdiag.agents import answers  # noqa: E402
from lmdiag.agents.server import server  # noqa: E402
from lmdiag.cli.catalogue import entry  # noqa: E402
from lmdiag.rules import RULES  # noqa: E402
from tests.cli.conftest import falling, run, write_log  # noqa: E402

__all__ = ["run"]


@pytest.fixture
def logs(tmp_path, monkeypatch):
    """A folder with a healthy and a sick log, and another log beside the folder."""
    monkeypatch.chdir(tmp_path)
    write_log(tmp_path / "runs/good.jsonl", falling())
    losses = falling() + 0.05
    losses[300:] = np.nan
    write_log(tmp_path / "runs/bad.jsonl", losses)
    write_log(tmp_path / "secret/other.jsonl", falling())
    return tmp_path


def ask(tool, places=("runs",), **arguments):
    """Call a tool; return its answer, or the text of its error."""

    async def asked():
        async with mcp.Client(server(places, RULES, entry)) as client:
            return await client.call_tool(tool, arguments)

    result = asyncio.run(asked())
    return result.content[0].text if result.is_error else result.structured_content


def test_the_tools_are_said_to_change_nothing():
    async def listed():
        async with mcp.Client(server(["runs"], RULES, entry)) as client:
            return (await client.list_tools()).tools

    tools = asyncio.run(listed())
    assert {tool.name for tool in tools} == {"list_logs", "check", "explain", "compare", "curve"}
    assert all(tool.annotations.read_only_hint and tool.description for tool in tools)


def test_the_worst_run_comes_first_with_its_findings(logs, run):
    found = ask("check", paths=["runs"])
    assert [r["verdict"] for r in found["runs"]] == ["unhealthy", "healthy"]
    assert found["runs"][0]["findings"][0]["rule"] == "non-finite-loss"
    assert found["runs"][0]["findings"][0]["first_step"] == 301
    assert "account" not in found["runs"][0]
    assert ask("check", paths=["runs"], full=True)["runs"][0]["account"]["columns"]


def test_a_log_is_found_by_its_name_within_a_named_folder(logs):
    names = ask("list_logs")["logs"]
    assert names == ["runs/bad.jsonl", "runs/good.jsonl"]
    assert ask("check", paths=["good.jsonl"])["verdict"] == ask("check", paths=names[1:])["verdict"] == "healthy"


def test_a_curve_keeps_its_extremes(logs):
    found = ask("curve", path="runs/bad.jsonl", points=20)
    assert (found["values"], found["steps"][0], found["steps"][-1]) == (400, 1, 400)
    assert "NaN" in found["curve"]
    assert len(found["steps"]) <= 20
    part = ask("curve", path="runs/good.jsonl", metric="val/loss", first_step=100, last_step=200)
    assert part["steps"] == list(range(100, 201, 20))
    assert "loss" in ask("curve", path="runs/good.jsonl", metric="los")


def test_runs_are_compared(logs):
    worse = write_log(logs / "runs/worse.jsonl", falling() + 0.5)
    found = ask("compare", baselines=["runs/good.jsonl"], candidate=str(worse))
    assert (found["schema"], found["direction"]) == ("lmdiag-compare/1", "worse")
    assert "holds 3 runs" in ask("compare", baselines=["runs/good.jsonl"], candidate="runs")


def test_a_rule_is_explained(logs):
    assert "What it looks for" in ask("explain", rule="divergence")["page"]
    assert "divergence" in ask("explain", rule="divergance")


@pytest.mark.parametrize(
    "path",
    [
        "secret/other.jsonl",
        "runs/../secret/other.jsonl",
        "../secret/other.jsonl",
        "/etc/hostname",
        "s3://bucket/a.jsonl",
        "runs/*.jsonl",
        "-",
        "~",
        "file:///etc/hostname",
    ],
)
def test_nothing_outside_is_read(logs, path, monkeypatch):
    monkeypatch.setattr(answers, "judge", lambda *a, **k: pytest.fail("read"))
    assert "below runs" in ask("check", paths=[path])
    assert "below runs" in ask("curve", path=path)


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
@pytest.mark.parametrize("path", ["runs/link.jsonl", "runs"])
def test_a_link_does_not_lead_outside(logs, path):
    os.symlink(logs / "secret/other.jsonl", logs / "runs/link.jsonl")
    said = ask("check", paths=[path])
    assert "below runs" in said or "is a link to another place" in said


def test_an_address_holds_what_is_below_it_only():
    places = answers.Places(("s3://bucket/runs",))
    assert places.allowed("s3://bucket/runs/a.jsonl") == "s3://bucket/runs/a.jsonl"
    for path in ("s3://bucket/runs2/a.jsonl", "s3://bucket/runs/../b", "file.jsonl"):
        with pytest.raises(answers.LmdiagError, match="below s3://bucket/runs"):
            places.allowed(path)


def test_the_command_serves_on_standard_input_and_output(logs):
    async def asked():
        program = mcp.StdioServerParameters(
            command=sys.executable, args=["-m", "lmdiag", "mcp", "runs"], cwd=str(logs), env=dict(os.environ)
        )
        async with mcp.Client(program) as client:
            return (await client.call_tool("check", {"paths": ["runs"]})).structured_content

    assert asyncio.run(asked())["verdict"] == "unhealthy"


def test_a_folder_that_is_not_there_is_said_at_once(run):
    done = run("mcp", "nowhere")
    assert (done.code, "there is no file or folder nowhere" in done.err) == (2, True)


@pytest.mark.parametrize(
    "rest", ["/%2e%2e/secret/a.jsonl", "/%252e%252e/a", "/..?x/", "/./a", "/a?b", "/a#b", "/..\\a"]
)
def test_no_spelling_of_an_address_leads_up(rest):
    with pytest.raises(answers.LmdiagError, match="below http://host/runs"):
        answers.Places(("http://host/runs",)).allowed("http://host/runs" + rest)


def test_an_address_is_asked_for_without_its_secrets():
    places = answers.Places(("http://me:word@host/runs/",))
    shown = answers.without_secrets("http://me:word@host/runs/")
    assert "word" not in shown
    assert places.allowed(shown + "a.jsonl") == "http://me:word@host/runs/a.jsonl"
    assert places.allowed(shown) == "http://me:word@host/runs/"


def test_a_log_of_the_same_name_outside_hides_none(logs):
    write_log(logs / "good.jsonl", falling())
    assert ask("check", paths=["good.jsonl"])["runs"][0]["source"] == "runs/good.jsonl"


@pytest.mark.parametrize("wrong", [{"baselines": []}, {"tolerance": -1.0}, {"tolerance": 1.0}])
def test_a_comparison_that_makes_no_sense_is_refused(logs, wrong):
    given = {"baselines": ["runs/good.jsonl"], "candidate": "runs/bad.jsonl"} | wrong
    assert "at least one baseline" in ask("compare", **given)


def test_no_path_is_said(logs):
    assert "no path was given" in ask("check", paths=[])
