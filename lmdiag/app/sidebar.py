"""The sidebar: the open runs with their verdicts, and where to open more."""

from __future__ import annotations

from typing import Any

import streamlit as st

from lmdiag.app import logs, notices
from lmdiag.app.markup import plain
from lmdiag.diagnose import Diagnosis
from lmdiag.looks import LOOKS
from lmdiag.reports.phrases import count

MOST_LISTED = 15
PAGES = ["Runs", "Run", "Compare", "Rules"]
MAKE_ROOM = """<script>if (innerWidth < 768)
document.querySelector('[data-testid="stSidebarCollapseButton"] button')?.click()</script>"""


def draw() -> str:
    """Draw the pages and, once something is open, the list of runs; return the page to show."""
    known = logs.runs()
    _land(len(known))
    with st.sidebar:
        st.title("lmdiag", anchor=False)
        page = st.segmented_control(
            "Page",
            PAGES,
            required=True,
            key="page",
            on_change=_chose,
            label_visibility="collapsed",
        )
        if known:
            _choose(known)
            upload("Add logs")
            if logs.any_grows() and st.toggle("Follow logs as they grow", key="follow"):
                notices.choose()
                st.session_state["follow_place"] = st.container()
            st.button("Close all", on_click=_close_all, type="tertiary", icon=":material/close:")
    if st.session_state.pop("make_room", False):
        st.html(MAKE_ROOM, unsafe_allow_javascript=True)
    return page or "Run"


def _land(known: int) -> None:
    """Choose the page to show where nobody has: all runs once there are several, a single one at once."""
    first_of_several = known > 1 and not st.session_state.get("several", False)
    st.session_state["several"] = known > 1
    asked = st.session_state.pop("go_to", None)
    if asked in PAGES:
        st.session_state["page"] = asked
    elif first_of_several:
        st.session_state["page"] = "Runs"
    elif "page" not in st.session_state:
        st.session_state["page"] = "Run"


def upload(label: str, **look: Any) -> None:
    """Offer to upload logs; they are read at once and the widget is emptied."""
    turn = st.session_state.setdefault("upload_turn", 0)
    whole = bool(st.session_state.get("whole_folder"))
    files = st.file_uploader(
        label,
        accept_multiple_files="directory" if whole else True,
        key=f"upload-{turn}-{whole}",
        help="JSONL, CSV, trainer_state.json, printed logs, notebooks and more, also as .gz. "
        "Files stay in the memory of this session.",
        **look,
    )
    st.caption(f"Larger than {st.get_option('server.maxUploadSize')} MB: `lmdiag app PATH` opens it where it lies.")
    st.toggle("A whole folder", key="whole_folder", help="Choose a folder instead of files to open the logs in it.")
    if files:
        if whole:
            others = logs.open_folder({file.name: file.getvalue() for file in files})
            st.session_state["upload_said"] = [f"{count(len(files) - others, 'log')} in {count(len(files), 'file')}."]
        else:
            st.session_state["upload_said"] = [logs.open_upload(file.name, file.getvalue()) for file in files]
        st.session_state["upload_turn"] = turn + 1
        st.rerun()
    for said in filter(None, st.session_state.pop("upload_said", ())):
        st.toast(plain(said), icon=":material/folder_open:", duration="long")


def _choose(known: dict[str, Diagnosis]) -> None:
    keys = list(known)
    looks = {key: LOOKS[d.shown] for key, d in known.items()}
    shown = logs.names()
    names = {key: f":{look.colour.badge}[{look.symbol}] {plain(shown[key])}" for key, look in looks.items()}
    words = {key: f"{looks[key].word}, {count(d.run.last_step, plain(d.run.unit))}" for key, d in known.items()}
    # The widget's own state is set before it is drawn: a run may have been opened, or closed, since.
    st.session_state["run_list"] = logs.chosen()
    if len(keys) <= MOST_LISTED:
        st.radio(
            "Runs",
            keys,
            key="run_list",
            on_change=_follow_list,
            format_func=names.__getitem__,
            captions=[words[k] for k in keys],
        )
    else:
        bare = {key: f"{looks[key].icon}  {shown[key]}" for key in known}
        st.selectbox("Runs", keys, key="run_list", on_change=_follow_list, format_func=bare.__getitem__)


def _follow_list() -> None:
    st.session_state["chosen"] = st.session_state["run_list"]
    _chose()


def _chose() -> None:
    """Let the sidebar make room for what was chosen, where it covers the page."""
    st.session_state["make_room"] = True


def _close_all() -> None:
    for log in list(st.session_state.get("logs", {})):
        logs.close(log)
