"""The frame of every page: which logs are open, which run is shown."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import streamlit as st

from lmdiag.app import compare_page, links, logs, rules_page, run_page, sidebar, welcome
from lmdiag.app.markup import plain

STYLE = """<style>
.block-container { padding: 2.6rem 2.2rem 3rem 2.2rem; }
[data-testid="stSidebar"] h1 { padding-top: 0; }
[data-testid="stCaptionContainer"], [data-testid="stCaptionContainer"] p { color: inherit; opacity: 0.9; }
[data-testid="stColumn"]:has(.st-key-curves) { position: sticky; top: 3.2rem; align-self: flex-start; }
</style>"""

TO_THE_TOP = """<script>document.querySelector('[data-testid="stMain"]')?.scrollTo(0, 0)</script>"""


def main(paths: Sequence[str] = ()) -> None:
    """Draw the app; `paths` are logs, folders or globs to open at the start."""
    st.set_page_config(page_title="lmdiag", page_icon="🩺", layout="wide")
    st.html(STYLE)
    logs.open_paths(paths)
    links.restore()
    page = sidebar.draw()
    for log in logs.problems():
        _explain_problem(log)
    if st.session_state.pop("to_the_top", False):
        st.html(TO_THE_TOP, unsafe_allow_javascript=True)
    key = logs.chosen()
    if page == "Rules":
        rules_page.draw(logs.runs())
    elif key is None:
        welcome.draw()
    elif page == "Compare":
        compare_page.draw(logs.runs())
    else:
        run_page.draw(key, logs.runs()[key])
    links.remember()


def _explain_problem(log: logs.Log) -> None:
    assert log.problem is not None
    message, button = st.columns([0.92, 0.08], vertical_alignment="center")
    source = f"**{plain(log.problem.source)}** was not read: " if log.problem.source else ""
    hint = f"  \n{plain(log.problem.hint)}" if log.problem.hint else ""
    message.error(f"{source}{plain(log.problem.error)}{hint}", icon=":material/error:")
    button.button("Dismiss", key=f"dismiss-{log.key}", on_click=logs.close, args=(log.key,), type="tertiary")


if __name__ == "__main__":
    main(sys.argv[1:])
