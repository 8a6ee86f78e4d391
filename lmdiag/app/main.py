"""The frame of every page: which logs are open, which run is shown."""

from __future__ import annotations

import time
from collections.abc import Sequence

import streamlit as st

from lmdiag.app import (
    compare_page,
    following,
    links,
    logs,
    mapping,
    notices,
    reading,
    rules_page,
    run_page,
    runs_page,
    server,
    sidebar,
    welcome,
)
from lmdiag.app.markup import plain, sentences
from lmdiag.looks import LOOKS
from lmdiag.reports.phrases import count

STYLE = """<style>
.block-container { padding: 2.6rem 2.2rem 3rem 2.2rem; }
[data-testid="stSidebar"] h1 { padding-top: 0; }
[data-testid="stCaptionContainer"], [data-testid="stCaptionContainer"] p { color: inherit; opacity: 0.9; }
[data-testid="stColumn"]:has(.st-key-curves) { position: sticky; top: 3.2rem; align-self: flex-start; }
@media (max-width: 640px) { [data-testid="stColumn"]:has(.st-key-curves) { order: -1; } } /* curves before the cards */
[data-testid="stColumn"]:has(button[aria-label^="Close fullscreen"]) { position: static; } /* else below the sidebar */
.st-key-scale { min-height: 4.25rem; } /* as high as the boxes beside it */
[data-testid="stButtonGroup"] [role="radiogroup"] { flex-wrap: wrap; } /* no view hides beyond the edge of a phone */
@media (max-width: 640px) { .block-container { padding: 4rem .8rem 3rem .8rem; } } /* below the bar at the top */
@media (prefers-reduced-motion: reduce) { * { animation-duration: 1ms !important; transition-duration: 1ms !important; } }
</style>"""

NO_NUMBERS = "it has no columns or similar lines of numbers to choose the loss from"
SIDEBAR = 340  # pixels: the names of the pages stand in one row
TO_THE_TOP = """<script>document.querySelector('[data-testid="stMain"]')?.scrollTo(0, 0)</script>"""


def main(paths: Sequence[str] = ()) -> None:
    """Draw the app; `paths` are logs, folders or globs to open at the start."""
    since = time.monotonic()
    st.set_page_config(
        page_title=st.session_state.get("title", "lmdiag"), page_icon="🩺", layout="wide", initial_sidebar_state=SIDEBAR
    )
    server.share_heaps()
    server.ask_nobody_for_the_address()
    st.html(STYLE)
    reading.forget_settings()
    logs.open_paths(paths)
    links.restore()
    if following.is_on():
        following.refresh()
    page = sidebar.draw()
    links.say_what_is_lost()
    _explain_problems(logs.problems())
    if st.session_state.pop("to_the_top", False):
        st.html(TO_THE_TOP, unsafe_allow_javascript=True)
    key = logs.chosen()
    st.session_state["title"] = _title(key, page)
    st.set_page_config(page_title=st.session_state["title"])
    if page == "Rules":
        rules_page.draw(logs.runs())
    elif key is None:
        welcome.draw()
    elif page == "Runs":
        runs_page.draw(logs.runs())
    elif page == "Compare":
        compare_page.draw(logs.runs())
    else:
        run_page.draw(key, logs.runs()[key])
        mapping.offer(logs.of_run(key))
    links.remember()
    if following.is_on():
        with st.session_state["follow_place"]:
            st.session_state["just_drawn"] = True
            following.wait_for_news(since)
            notices.tell()
        server.give_back()  # what the last draft of the page was drawn from
    server.leave_programs_out_of_collection()


def _title(key: str | None, page: str) -> str:
    """Return the title of the browser's tab: how the shown run is, and how many of the others are ill."""
    known = logs.runs()
    if key is None or key not in known:
        return "lmdiag"
    look, ill = LOOKS[known[key].shown], sum(d.verdict in ("unhealthy", "suspect") for d in known.values())
    if page == "Runs":
        worst = LOOKS[next(iter(known.values())).shown]
        return f"{worst.icon} {ill} of {count(len(known), 'run')} ill · lmdiag"
    others = f" · {ill} of {len(known)} ill" if len(known) > 1 and ill else ""
    return f"{look.icon} {look.word} · {logs.names()[key]}{others} · lmdiag"


def _explain_problems(problems: Sequence[reading.Log]) -> None:
    """Say which logs were not read and ask for their loss: folded where there are runs to see, unless it is what was opened last."""
    if not problems:
        return
    place = st.container()
    if logs.runs():
        last = st.session_state.get("chosen") in {f"{log.key}/0" for log in problems}
        were = "log was" if len(problems) == 1 else "logs were"
        place = st.expander(f"{len(problems):,} {were} not read", expanded=last, icon=":material/error:")
    with place:
        for log in problems:
            _explain_problem(log)
            mapping.offer(log)


def _explain_problem(log: reading.Log) -> None:
    assert log.problem is not None
    message, button = st.columns([0.92, 0.08], vertical_alignment="center")
    source = f"**{plain(log.problem.source)}** was not read: " if log.problem.source else ""
    advice = NO_NUMBERS if " --" in log.problem.hint else log.problem.hint  # a page has no options to name
    hint = f".  \n{sentences(advice)}" if advice else ""
    why = "nothing in it is called a loss." if mapping.can_ask(log) else f"{plain(log.problem.error)}{hint}"
    message.error(f"{source}{why}", icon=":material/error:")
    button.button("Dismiss", key=f"dismiss-{log.key}", on_click=logs.close, args=(log.key,), type="tertiary")
