"""A path or an address that the reader types: opened only from this machine, and only where the app was started."""

from __future__ import annotations

import os
from pathlib import Path

import streamlit as st

from lmdiag.app import logs
from lmdiag.app.markup import sentences
from lmdiag.errors import BadSetting, LmdiagError
from lmdiag.sources.addresses import OF_THIS_MACHINE, is_url


def is_allowed() -> bool:
    """Whether paths may be typed: who can reach the page could read every log of the server's user."""
    return st.get_option("server.address") in OF_THIS_MACHINE


def ask(label: str, key: str, placeholder: str, follow: bool = False) -> None:
    """Draw a field for a path, and open what is typed there; with `follow`, as files that grow."""
    with st.form(key, border=False):
        text = st.text_input(label, key=f"{key}-text", placeholder=placeholder, label_visibility="collapsed")
        asked = st.form_submit_button("Follow" if follow else "Open", width="stretch")
    if not asked or not text.strip():
        return
    try:
        with st.spinner("Looking for logs …"):
            found = logs.open_more([allowed(text)])
    except LmdiagError as error:
        st.error(sentences(error.message, error.hint))
        return
    if found:
        st.session_state["chosen"] = f"{found[0]}/0"
        st.session_state["follow"] = st.session_state.get("follow", False) or follow
    st.rerun()


def allowed(text: str) -> str:
    """Return the path or address that was typed, absolute; BadSetting for one outside of what the app may open."""
    text = text.strip().replace("\0", "")
    if is_url(text):
        return text
    here = Path.cwd().resolve()
    path = (here / os.path.expanduser(text)).resolve()
    named = [Path(place) for place in st.session_state.get("paths_opened", ()) if not is_url(place)]
    roots = [here, *(place for place in named if place.is_dir())]
    root = next((root for root in roots if path.is_relative_to(root)), None)
    if root is None or any(part.startswith(".") for part in path.relative_to(root).parts):
        raise BadSetting(
            f"{text} is not below {here}, where the app was started", f"start it with this path: lmdiag app {text}"
        )
    return str(path)
