"""A drag over a chart zooms; the tremble of a hand does not."""

import numpy as np
import pytest
import streamlit as st

from lmdiag.app import zoom
from lmdiag.run import Run
from tests.rules.curves import series


@pytest.mark.parametrize(
    ("ends", "zooms"), [([100, 900], True), ([400, 405], False), ([900, 100], False), ([5], False)]
)
def test_what_is_a_drag(monkeypatch, ends, zooms):
    monkeypatch.setattr(st, "session_state", {})
    run = Run("a", {"loss": series(np.linspace(5, 2, 1000))})
    assert zoom.on_drag("key", run, "step", {"x": ends}) is zooms
    assert (zoom.shown("key") is not None) is zooms


def test_back_leads_through_every_range_also_where_the_address_named_one_in_whole_steps(monkeypatch):
    monkeypatch.setattr(st, "session_state", {})
    zoom.show("key", 122.5, 308.4)
    zoom.show("key", 150, 200)
    zoom.return_to("key", (122.0, 308.0))
    assert zoom.shown("key") == (122.5, 308.4)
    assert zoom.back("key")
    assert zoom.shown("key") is None
    assert not zoom.back("key")


def test_a_range_that_an_interrupted_page_asks_for_twice_is_left_by_one_step_back(monkeypatch):
    monkeypatch.setattr(st, "session_state", {})
    run = Run("a", {"loss": series(np.linspace(5, 2, 1000), first=0)})
    zoom.on_typed("key", run, "100 to 200")
    zoom.on_typed("key", run, "100 to 200")
    assert zoom.back("key")
    assert zoom.shown("key") is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [("100 - 1,200", (100, 999)), ("100 to 200", (100, 200)), ("", None), ("7", (5, 9)), ("900-100", (5, 9))],
)
def test_a_range_is_typed(monkeypatch, text, shown):
    monkeypatch.setattr(st, "session_state", {})
    run = Run("a", {"loss": series(np.linspace(5, 2, 1000), first=0)})
    zoom.show("key", 5, 9)
    zoom.on_typed("key", run, text)
    assert zoom.shown("key") == shown
