"""One run: the verdict, the findings beside the curves they are about, and what the log did not tell."""

from __future__ import annotations

import streamlit as st

from lmdiag.app import curves, downloads, findings, verdict
from lmdiag.app.words import plain
from lmdiag.diagnose import Diagnosis
from lmdiag.reports.wording import by_reason, count


def draw(key: str, diagnosis: Diagnosis) -> None:
    """Draw the page of one run."""
    verdict.draw(diagnosis)
    left, right = st.columns([0.36, 0.64], gap="small")
    with left:
        findings.draw(key, diagnosis)
        _coverage(diagnosis)
        downloads.draw(key, diagnosis)
    with right, st.container(key="curves"):
        curves.draw(key, diagnosis)


def _coverage(diagnosis: Diagnosis) -> None:
    """Say what was not checked and why, what was skipped, and what was assumed."""
    run = diagnosis.run
    if diagnosis.not_checked:
        with st.expander(f"Not checked: {count(len(diagnosis.not_checked), 'rule')}"):
            for why, rules in by_reason(diagnosis.not_checked).items():
                st.markdown(f"**{plain(', '.join(rules))}**: {plain(why)}.")
    lost = sum(s.count for s in run.skipped)
    if lost or run.notes:
        skips = f": {count(lost, 'piece')} skipped" if lost else ""
        with st.expander(f"How the log was read{skips}"):
            for skipped in run.skipped:
                st.markdown(f"{skipped.count:,} skipped: {plain(skipped.reason)} (first at line {skipped.line:,})")
            for note in run.notes:
                st.markdown(plain(note))
