"""The app as Streamlit runs it, without a browser."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

ROOT = Path(__file__).parents[2]
SAMPLES = sorted((ROOT / "sample_logs").glob("*.jsonl"))


@pytest.fixture
def app(monkeypatch):
    """Start the app as `streamlit run app.py -- PATHS` does, and run it once."""

    def start(*paths: object) -> AppTest:
        monkeypatch.setattr(sys, "argv", ["app.py", *map(str, paths)])
        return AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run()

    return start


def html_on(app: AppTest) -> str:
    """All HTML of the page."""
    return "\n".join(element.proto.body for element in app.get("html"))


def markdown_on(app: AppTest) -> str:
    """Everything that goes through Streamlit's Markdown: text, captions and messages."""
    kinds = ("markdown", "caption", "error", "success", "title", "subheader")
    return "\n".join(element.value for kind in kinds for element in app.get(kind))


def words_on(app: AppTest) -> str:
    """Everything the page says."""
    return f"{html_on(app)}\n{markdown_on(app)}"


def specs_on(app: AppTest) -> list[str]:
    """The Vega-Lite specifications of the charts on the page."""
    return [element.proto.spec for element in app.get("vega_lite_chart")]
