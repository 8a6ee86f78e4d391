"""The report of a run to take away."""

from __future__ import annotations

import re
from functools import partial

import streamlit as st

from lmdiag.diagnose import Diagnosis
from lmdiag.reports import render
from lmdiag.reports.report import Report
from lmdiag.rules import RULES

FORMATS = {
    "html": ("HTML", "html", "text/html"),
    "json": ("JSON", "json", "application/json"),
    "markdown": ("Markdown", "md", "text/markdown"),
}


def draw(key: str, diagnosis: Diagnosis) -> None:
    """Offer the report in every format; it is written only when it is asked for."""
    report = Report((diagnosis,), rules=RULES)
    name = re.sub(r"[^\w.-]+", "-", diagnosis.run.name).strip("-.")[:60] or "run"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown("Report", width="content")
        for format, (label, ending, mime) in FORMATS.items():
            st.download_button(
                label,
                data=partial(render, report, format),
                file_name=f"{name}.{ending}",
                mime=mime,
                key=f"download-{format}-{key}",
                on_click="ignore",
                icon=":material/download:",
            )
