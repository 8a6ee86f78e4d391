"""What is shown, kept in the address of the page: the open samples, the run, its x axis and its zoom.

The views of a run bind their own name (`look`). An address can open only the samples of lmdiag, never a path.
"""

from __future__ import annotations

import streamlit as st

from lmdiag.app import logs, zoom
from lmdiag.reports.phrases import count


def restore() -> None:
    """Open what the address asks for, once per session; later, show the steps that the reader went back to in the browser."""
    if "address_read" in st.session_state:
        _go_back()
        return
    st.session_state["address_read"] = True
    asked = st.query_params.get("open", "").split(",")
    for path in logs.samples():
        if path.stem in asked:
            logs.open_sample(path)
    lost = st.query_params.get("uploads", "")
    st.session_state["uploads_lost"] = int(lost) if lost.isdecimal() and len(lost) < 5 else 0
    key = st.query_params.get("run", "")
    st.session_state["go_to"] = st.query_params.get("page", "Run" if key else None)
    if not key:
        return
    st.session_state["chosen"] = key
    if axis := st.query_params.get("axis"):
        st.session_state[f"axis-{key}"] = axis
    steps = steps_of(st.query_params.get("steps", ""))
    if steps:
        zoom.put(key, steps)
    rule, _, step = st.query_params.get("finding", "").partition("@")
    if step.isdecimal():
        zoom.mark(key, rule, int(step))


def say_what_is_lost() -> None:
    """Say that uploads do not outlive the page, where it was loaded anew, until some are added again."""
    lost = st.session_state.get("uploads_lost", 0)
    if logs.uploads():
        st.session_state["uploads_lost"] = 0
    elif lost:
        st.warning(
            f"{count(lost, 'uploaded log')} went when the page was loaded anew: add {'it' if lost == 1 else 'them'} again. "
            "Logs that are opened by their path stay.",
            icon=":material/upload_file:",
        )


def remember() -> None:
    """Write what is shown into the address."""
    key = logs.chosen()
    steps = zoom.shown(key) if key else None
    axis = st.session_state.get(f"axis-{key}", "step")
    state = {
        "open": ",".join(path.stem for path in logs.samples() if logs.is_open(path)),
        "uploads": str(logs.uploads() or st.session_state.get("uploads_lost") or ""),
        "run": key or "",
        "page": st.session_state["page"] if key else "",
        "axis": "" if axis == "step" else axis,
        "finding": "@".join(map(str, zoom.mark_of(key))) if key else "",
        "steps": f"{steps[0]:.0f}-{steps[1]:.0f}" if steps else "",
    }
    # First of all: where the address is written, a new page may interrupt this one.
    st.session_state["address"] = (key, state["steps"])
    for name, value in state.items():
        if value and st.query_params.get(name) != value:
            st.query_params[name] = value
        elif not value and name in st.query_params:
            del st.query_params[name]


def _go_back() -> None:
    """Undo a zoom where the browser's Back, or Forward, has changed the steps in the address."""
    key, steps = st.session_state.get("address", ("", ""))
    asked = st.query_params.get("steps", "")
    if key and asked != steps and st.query_params.get("run", "") == key:
        zoom.return_to(key, steps_of(asked))


def steps_of(text: str) -> tuple[float, float] | None:
    """Return a range of steps as an address writes it, None where it is not one.

    >>> steps_of("100-250"), steps_of("9-3"), steps_of("a-b")
    ((100.0, 250.0), None, None)
    """
    first, _, last = text.partition("-")
    if not (first.isdecimal() and last.isdecimal() and float(first) < float(last)):
        return None
    return float(first), float(last)
