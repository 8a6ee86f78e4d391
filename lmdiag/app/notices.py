"""What calls the reader back to a followed run: a sound, or a notice of the browser, when a finding arises; both only if asked for."""

from __future__ import annotations

import json
from collections.abc import Sequence

import streamlit as st

SOUND = """{ const audio = new AudioContext(), tone = audio.createOscillator(), level = audio.createGain();
tone.frequency.value = 660; level.gain.setValueAtTime(0.2, audio.currentTime);
level.gain.exponentialRampToValueAtTime(0.001, audio.currentTime + 0.6);
tone.connect(level).connect(audio.destination); tone.start(); tone.stop(audio.currentTime + 0.6); }"""
NOTICE = (
    'if (Notification.permission === "granted") for (const text of texts) new Notification("lmdiag", { body: text });'
)
ASK = '<script>if (Notification.permission === "default") Notification.requestPermission();</script>'


def choose() -> None:
    """Ask how the reader wants to be called back."""
    with st.popover("When a finding arises", icon=":material/notifications:"):
        st.toggle("Make a sound", key="notice_sound")
        if st.toggle("Show a notice of the browser", key="notice_browser"):
            st.html(ASK, unsafe_allow_javascript=True)


def tell() -> None:
    """Tell what has arisen since the page was drawn last."""
    texts: Sequence[str] = st.session_state.pop("arisen", ())
    wanted = [
        script for key, script in (("notice_sound", SOUND), ("notice_browser", NOTICE)) if st.session_state.get(key)
    ]
    if not texts or not wanted:
        return
    turn = st.session_state["notice_turn"] = st.session_state.get("notice_turn", 0) + 1  # the same words may come again
    said = json.dumps(texts).replace("<", "\\u003c")
    st.html(
        f"<script>/* {turn} */ {{ const texts = {said}; {' '.join(wanted)} }}</script>", unsafe_allow_javascript=True
    )
