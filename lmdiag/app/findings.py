"""The findings of a run, worst first, each cause with what it explains, its evidence, what to try, and the page of its rule."""

from __future__ import annotations

from typing import Literal

import streamlit as st

from lmdiag.app import zoom
from lmdiag.app.markup import badge, html, plain
from lmdiag.app.verdict import cause
from lmdiag.diagnose import Diagnosis
from lmdiag.finding import Finding, severity_of
from lmdiag.looks import LOOKS
from lmdiag.reports.entries import Entry, entries
from lmdiag.reports.evidence import evidence
from lmdiag.rules import RULES

PAGES = {rule.name: rule for rule in RULES}


def draw(key: str, diagnosis: Diagnosis) -> None:
    """Draw one card per cause that alarms, the first with its details, for it is the one to act on; fold the rest."""
    cards = list(entries(diagnosis))
    alarms = [card for card in cards if card.finding.alarms or any(f.alarms for f in card.consequences)]
    others = [card for card in cards if card not in alarms]
    if not cards and diagnosis.verdict == "healthy":
        st.success("Nothing needs action.", icon=":material/check_circle:")
    for rank, card in enumerate(alarms):
        with st.container(border=True):
            _card(diagnosis, card.finding)
            _details(card.finding) if rank == 0 else _folded(card.finding)
            _buttons(key, diagnosis, card.finding)
            _consequences(key, diagnosis, card)
    if others:
        with st.expander(f"Worth knowing, no alarm: {len(others)}", expanded=not alarms):
            for card in others:
                _card(diagnosis, card.finding)
                _details(card.finding)
                _buttons(key, diagnosis, card.finding)
                _consequences(key, diagnosis, card)


def _card(diagnosis: Diagnosis, finding: Finding) -> None:
    """Say what was found, unless the verdict above says all of it already."""
    where = diagnosis.run.place(finding.first_step, finding.last_step)
    st.markdown(f"{badge(LOOKS[severity_of(finding).label])} **{plain(finding.rule)}** · {plain(where)}")
    if finding.message.rstrip(".") != cause(diagnosis):
        st.markdown(plain(finding.message))


def _consequences(key: str, diagnosis: Diagnosis, card: Entry) -> None:
    """Name what the cause explains, without advice of its own: it might contradict that of the cause."""
    if not card.consequences:
        return
    st.caption("Explained by it:")
    for finding in card.consequences:
        where = diagnosis.run.place(finding.first_step, finding.last_step)
        st.markdown(f"**{plain(finding.rule)}** · {plain(where)}: {plain(finding.message)}")
        _show(key, diagnosis, finding, "tertiary")


def _folded(finding: Finding) -> None:
    with st.expander("Evidence and what to try"):
        _details(finding)


def _buttons(key: str, diagnosis: Diagnosis, finding: Finding) -> None:
    with st.container(horizontal=True):
        _show(key, diagnosis, finding)
        if finding.rule in PAGES:
            with st.popover("What is this?", icon=":material/help:"):
                st.markdown(PAGES[finding.rule].page.replace("\n## ", "\n#### "))


def _show(
    key: str, diagnosis: Diagnosis, finding: Finding, type: Literal["secondary", "tertiary"] = "secondary"
) -> None:
    st.button(
        "Show on the curves",
        key=f"show-{key}-{diagnosis.findings.index(finding)}",
        icon=":material/center_focus_strong:",
        on_click=zoom.on_finding,
        args=(key, diagnosis.run, finding),
        type=type,
    )


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
