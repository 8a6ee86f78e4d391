"""A path that is typed opens what lies below the folder the app was started in, and nothing else."""

import shutil

import pytest
import streamlit as st

from lmdiag.app import typed
from lmdiag.errors import BadSetting
from tests.app.conftest import SAMPLES


@pytest.fixture
def started_in(tmp_path, monkeypatch):
    """A folder with two logs in it, in which the app is started."""
    (tmp_path / "runs").mkdir()
    for sample in SAMPLES[:2]:
        shutil.copy(sample, tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(typed, "is_allowed", lambda: True)
    return tmp_path


def press(page, label, text):
    place = {"Open": "typed", "Follow": "followed"}[label]
    page.text_input(key=f"{place}-text").set_value(text)
    next(b for b in page.button if b.label == label and not str(b.key).startswith("open-")).click().run()
    assert not page.exception
    return page


def test_a_folder_is_opened(app, started_in):
    page = press(app(), "Open", "runs/")
    assert page.session_state["page"] == "Runs"
    assert len(page.dataframe[0].value) == 2
    assert not page.toggle(key="follow").value


def test_a_folder_is_followed_from_the_first_screen_on(app, started_in, monkeypatch):
    monkeypatch.setattr("lmdiag.app.following.RESCAN_S", 0.0)
    page = press(app(), "Follow", "runs")
    assert page.toggle(key="follow").value
    shutil.copy(SAMPLES[2], started_in / "runs")
    page.run()
    page.run()
    assert len(page.dataframe[0].value) == 3


def test_what_is_not_there_is_said(app, started_in):
    page = press(app(), "Open", "nowhere.jsonl")
    assert "nowhere" in page.error[0].value


@pytest.mark.parametrize(
    "text", ["/etc/passwd", "../up.jsonl", ".ssh/id", "runs/../.hidden/a.jsonl", "~root/a.jsonl", "/\0"]
)
def test_what_lies_elsewhere_is_refused_with_the_command_that_opens_it(started_in, text):
    with pytest.raises(BadSetting) as refused:
        typed.allowed(text)
    assert refused.value.hint.startswith("start it with this path: lmdiag app ")


def test_a_link_that_leads_out_is_refused(started_in, tmp_path_factory):
    (started_in / "out").symlink_to(tmp_path_factory.mktemp("elsewhere"))
    with pytest.raises(BadSetting):
        typed.allowed("out/a.jsonl")


def test_an_address_stays_as_it_is(started_in):
    assert typed.allowed(" https://example.org/a.jsonl ") == "https://example.org/a.jsonl"


@pytest.mark.parametrize(("host", "offered"), [("127.0.0.1", True), ("0.0.0.0", False), (None, False)])
def test_nothing_is_typed_where_others_can_reach_the_page(app, monkeypatch, host, offered):
    asked = st.get_option
    monkeypatch.setattr(st, "get_option", lambda name: host if name == "server.address" else asked(name))
    assert bool(app().text_input) is offered
