"""Several logs open on one table of runs, worst first, with names that can be told apart."""

import json
import math
import shutil

import pyarrow
import pytest
import streamlit as st

from lmdiag.app import logs, reading
from lmdiag.app.names import distinct, told_apart
from lmdiag.app.reading import Log
from lmdiag.judging.judged import Judged
from lmdiag.reports.left_out import Unreadable
from tests.app.conftest import SAMPLES, words_on

HEALTHY, SICK = "healthy-lstm", "divergence"


@pytest.fixture
def folder(tmp_path):
    for sample in SAMPLES:
        if sample.stem in (HEALTHY, SICK):
            shutil.copy(sample, tmp_path)
    return tmp_path


def table_on(page):
    return page.dataframe[0].value


def test_several_logs_land_on_the_table_with_the_sick_run_first(app, folder):
    page = app(folder)
    assert not page.exception
    assert page.session_state["page"] == "Runs"
    table = table_on(page)
    assert [words.split(" ", 1)[1] for words in table["verdict"]] == ["unhealthy", "healthy"]
    assert list(table["run"]) == [SICK, HEALTHY]
    assert (table["wrong"][0], table["since"][0]) == ("The learning rate of 0.137 is too high", "step 4")
    assert table["keep"][1].startswith("step ")


def refuse(*_):
    raise AssertionError("this was read already, or is to be read elsewhere")


def test_many_logs_are_read_in_several_processes(app, folder, monkeypatch):
    (folder / "broken.jsonl").write_text('{"step": 1, "lo')
    here = [log.name for log in opened(app(folder))]
    monkeypatch.setattr("lmdiag.app.reading.worthwhile_jobs", lambda sources: min(2, len(sources)))
    monkeypatch.setattr("lmdiag.app.reading.read_log", refuse)
    reading._kept().clear()
    page = app(folder)
    assert not page.exception
    assert [log.name for log in opened(page)] == here
    assert list(table_on(page)["run"]) == [SICK, HEALTHY]
    monkeypatch.setattr("lmdiag.app.reading.each", refuse)
    assert list(table_on(app(folder))["run"]) == [SICK, HEALTHY]


def opened(page):
    return page.session_state["logs"].values()


def test_one_log_lands_on_its_own_page(app):
    page = app(next(sample for sample in SAMPLES if sample.stem == SICK))
    assert page.session_state["page"] == "Run"
    assert "too high" in words_on(page)


def test_what_was_opened_later_joins_the_table(app, folder):
    page = app(folder / f"{HEALTHY}.jsonl")
    data = (folder / f"{SICK}.jsonl").read_bytes()
    page.file_uploader[0].upload(f"{SICK}.jsonl", data, "application/json").run()
    assert page.session_state["page"] == "Runs"
    assert len(table_on(page)) == 2


def test_the_settings_that_differ_are_columns(app, tmp_path):
    for rate in (0.1, 0.001):
        header = {"type": "run", "schema": "lmdiag-log/1", "name": f"lr{rate}", "config": {"lr": rate, "width": 64}}
        steps = [{"type": "step", "step": i, "loss": 3 + 5 / (i + rate)} for i in range(1, 60)]
        (tmp_path / f"lr{rate}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in (header, *steps)))
    table = table_on(app(tmp_path))
    assert sorted(table["config.lr " if "config.lr " in table else "lr "]) == ["0.001", "0.1"]
    assert not any(column.startswith("width") for column in table)


def test_a_row_of_the_table_is_about_a_kilobyte(app, tmp_path):
    """A page of 500 runs is to be 600 KB."""
    for seed in range(30):
        steps = [{"step": i, "loss": 3 + 5 / (i + seed) + (4 if i > 280 else 0), "lr": 0.001} for i in range(1, 400)]
        (tmp_path / f"{seed}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in steps))
    assert len(app(tmp_path).dataframe[0].proto.arrow_data.data) < 30 * 1200


def test_a_loss_that_is_not_a_number_is_told_from_one_that_is_not_there(app, tmp_path):
    for name, losses in (("nan", ["2.5"] * 60 + ["NaN"]), ("none", None)):
        lines = [f'{{"step": {i}, "loss": {loss}}}\n' for i, loss in enumerate(losses or [], 1)]
        lines = lines or [f'{{"step": {i}, "reward": 0.{i}, "kl": 0.1}}\n' for i in range(1, 99)]
        (tmp_path / f"{name}.jsonl").write_text("".join(lines))
    drawn = app(tmp_path).dataframe[0].proto
    table = pyarrow.ipc.open_stream(drawn.arrow_data.data).read_all().to_pylist()
    assert {row["run"]: row["last loss"] is not None and math.isnan(row["last loss"]) for row in table} == {
        "nan.jsonl": True,
        "none.jsonl": False,
    }


def test_a_run_can_be_opened_named_pinned_and_closed(app, folder):
    page = app(folder)
    keys = {log.name.rpartition("/")[2]: f"{key}/0" for key, log in page.session_state["logs"].items()}
    healthy, sick = keys[f"{HEALTHY}.jsonl"], keys[f"{SICK}.jsonl"]
    page.session_state["pinned"] = healthy
    page.session_state["given_names"] = {sick: "the bad one"}
    page.run()
    assert list(table_on(page)["run"]) == ["the bad one", f"★ {HEALTHY}"]
    page.session_state["chosen"], page.session_state["go_to"] = sick, "Run"
    page.run()
    assert "Unhealthy" in words_on(page)
    assert page.session_state["page"] == "Run"
    page.session_state["closed"] = {sick}
    page.run()
    assert page.session_state["run_list"] == healthy


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (
            ["/x/data/twenty/a-gpt2-lr0.1.jsonl", "/x/data/twenty/a-gpt2-lr0.01.jsonl"],
            ["a-gpt2-lr0.1.jsonl", "a-gpt2-lr0.01.jsonl"],
        ),
        (["/a/one/train.log", "/a/two/train.log"], ["one/train.log", "two/train.log"]),
        (["run", "run", "run"], ["run", "run (2)", "run (3)"]),
        (["/only/one.jsonl"], ["one.jsonl"]),
        ([], []),
    ],
)
def test_names(names, shown):
    assert distinct(names) == shown


def test_runs_that_name_their_file_alone_are_told_apart_by_its_folder(app, tmp_path):
    lines = [f"step {i}/60 | loss {3 + 5 / i:.4f} | lr 1e-3\n" for i in range(1, 61)]
    for seed in "abc":
        (tmp_path / seed).mkdir()
        (tmp_path / seed / "train.log").write_text("".join(lines[: 50 + ord(seed) % 7]))
    shutil.copy(next(sample for sample in SAMPLES if sample.stem == HEALTHY), tmp_path / "c" / "other.jsonl")
    assert sorted(table_on(app(tmp_path))["run"]) == ["a/train.log", "b/train.log", "c/train.log", HEALTHY]


def test_long_names_are_cut_where_they_agree():
    names = [f"{'sweep-' * 20}seed{i}" for i in range(3)]
    assert [name[-5:] for name in distinct(names)] == ["seed0", "seed1", "seed2"]
    starts = [f"lr{i}-{'x' * 80}" for i in range(3)]
    assert len(set(distinct(starts))) == 3
    assert [name[:3] for name in distinct(starts)] == ["lr0", "lr1", "lr2"]


def test_a_legend_leaves_out_what_all_names_share():
    names = [f"a-gpt2-lr{rate}-seed{seed}.jsonl" for rate in (0.001, 0.0001) for seed in (1, 10)]
    assert told_apart(names) == ["lr0.001-seed1", "lr0.001-seed10", "lr0.0001-seed1", "lr0.0001-seed10"]
    assert told_apart(["a-very-long-name", "a-very-long-name-indeed"]) == ["name", "name-indeed"]
    assert told_apart(["the-run-without-an-end-", "the-run-without-an-end-1"])[1] == "the-run-without-an-end-1"
    assert len(set(told_apart([f"{'sweep-' * 9}{seed}{'x' * 60}" for seed in range(3)]))) == 3


def test_a_page_works_out_once_which_runs_are_the_same(app, folder, monkeypatch):
    page = app(folder)
    monkeypatch.setattr("lmdiag.app.logs.without_duplicates", refuse)
    page.run()
    assert not page.exception
    assert len(table_on(page)) == 2


def test_closing_a_run_leaves_the_others_and_what_was_not_read(monkeypatch):
    class Shown:
        run, verdict = None, "healthy"

    judged = {"a": Judged((Shown(), Shown())), "b": Judged(unreadable=(Unreadable("b", "no log", ""),))}
    state = {"logs": {key: Log(key, key, found) for key, found in judged.items()}}
    monkeypatch.setattr(st, "session_state", state)
    logs.close_runs(["a/0"])
    assert (list(logs.runs()), list(state["logs"])) == (["a/1"], ["a", "b"])
    logs.close_runs(["a/1"])
    assert (list(state["logs"]), state["closed"]) == (["b"], set())
