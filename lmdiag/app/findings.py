"""The findings of a run, worst first, each with its evidence, what to try, and the page of its rule."""

from __future__ import annotations

import streamlit as st

from lmdiag.app import zoom
from lmdiag.app.markup import badge, html, plain
from lmdiag.diagnose import Diagnosis
from lmdiag.finding import Finding, severity_of
from lmdiag.looks import LOOKS
from lmdiag.reports.evidence import evidence
from lmdiag.rules import RULES
from lmdiag.run import Run

PAGES = {rule.name: rule for rule in RULES}


def draw(key: str, diagnosis: Diagnosis) -> None:
    """Draw one card per alarm, the first with its details, for it is the one to act on; fold the rest."""
    ranked = list(enumerate(diagnosis.findings))
    alarms = [pair for pair in ranked if pair[1].alarms]
    others = [pair for pair in ranked if not pair[1].alarms]
    if not alarms and diagnosis.verdict == "healthy":
        st.success("Nothing needs action.", icon=":material/check_circle:")
    for rank, finding in alarms:
        with st.container(border=True):
            _card(diagnosis.run, finding)
            _details(finding) if rank == 0 else _folded(finding)
            _buttons(key, diagnosis.run, rank, finding)
    if others:
        with st.expander(f"Worth knowing, no alarm: {len(others)}", expanded=not alarms):
            for rank, finding in others:
                _card(diagnosis.run, finding)
                _details(finding)
                _buttons(key, diagnosis.run, rank, finding)


def _card(run: Run, finding: Finding) -> None:
    where = run.place(finding.first_step, finding.last_step)
    st.markdown(f"{badge(LOOKS[severity_of(finding).label])} **{plain(finding.rule)}** · {plain(where)}")
    st.markdown(plain(finding.message))
    if finding.consequence_of:
        st.caption(f"A consequence of {plain(finding.consequence_of)}.")


def _folded(finding: Finding) -> None:
    with st.expander("Evidence and what to try"):
        _details(finding)


def _buttons(key: str, run: Run, rank: int, finding: Finding) -> None:
    with st.container(horizontal=True):
        st.button(
            "Show on the curves",
            key=f"show-{key}-{rank}",
            icon=":material/center_focus_strong:",
            on_click=zoom.on_finding,
            args=(key, run, finding),
        )
        if finding.rule in PAGES:
            with st.popover("What is this?", icon=":material/help:"):
                st.markdown(PAGES[finding.rule].page.replace("\n## ", "\n#### "))


def _details(finding: Finding) -> None:
    if finding.evidence:
        rows = "".join(
            f'<tr><th scope="row" style="text-align:left;font-weight:400;opacity:.75;padding:.1rem 1.2rem .1rem 0">'
            f'{html(name)}</th><td style="text-align:right;font-variant-numeric:tabular-nums">'
            f"{html(value)}</td></tr>"
            for name, value in evidence(finding)
        )
        st.html(f'<table aria-label="evidence" style="font-size:.9rem;border-collapse:collapse">{rows}</table>')
    if finding.advice:
        lines = "\n".join(f"{rank}. {plain(words)}" for rank, words in enumerate(finding.advice, 1))
        st.markdown(f"**What to try**\n\n{lines}")
