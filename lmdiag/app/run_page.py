"""One run: the verdict, and below it the findings beside the curves, or one of the other views."""

from __future__ import annotations

import streamlit as st

from lmdiag.app import curves, downloads, findings, gradients, log_facts, logs, speed, verdict
from lmdiag.app.markup import plain, short
from lmdiag.diagnose import Diagnosis
from lmdiag.reports.phrases import by_reason, count, suppressions

LOOKS = {"Findings": None, "Gradients": gradients, "Speed and memory": speed, "The log": log_facts}


def draw(key: str, diagnosis: Diagnosis) -> None:
    """Draw the page of one run."""
    verdict.draw(diagnosis)
    with st.container(horizontal=True, vertical_alignment="center"):
        chosen = st.segmented_control(
            "Look at",
            list(LOOKS),
            default="Findings",
            required=True,
            key="look",
            label_visibility="collapsed",
            bind="query-params",
        )
        st.caption(plain(short(diagnosis.run.name)), width="content")
    look = LOOKS[chosen or "Findings"]
    if look is not None:
        look.draw(key, diagnosis)
        return
    left, right = st.columns([0.31, 0.69], gap="small")
    with left:
        report = logs.report_on(diagnosis)
        findings.draw(key, diagnosis)
        for line in suppressions(report.suppressed):
            st.caption(plain(line))
        _coverage(diagnosis)
        downloads.draw(key, report)
    with right, st.container(key="curves"):
        curves.draw(key, diagnosis)


def _coverage(diagnosis: Diagnosis) -> None:
    """Say what was not checked and why, and what was skipped."""
    run = diagnosis.run
    if diagnosis.not_checked:
        with st.expander(f"Not checked: {count(len(diagnosis.not_checked), 'rule')}"):
            for why, rules in by_reason(diagnosis.not_checked).items():
                st.markdown(f"**{plain(', '.join(rules))}**: {plain(why)}.")
    lost = sum(s.count for s in run.skipped)
    if lost:
        st.caption(f"{count(lost, 'piece')} of the log could not be read: see The log.")
