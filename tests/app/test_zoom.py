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
