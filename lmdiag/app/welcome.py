"""The first screen: upload a log, or open one of the samples."""

from __future__ import annotations

from pathlib import Path
from textwrap import shorten

import streamlit as st

from lmdiag.app import logs
from lmdiag.app.markup import badge, headline, image, plain
from lmdiag.app.sidebar import upload
from lmdiag.charts.thumbnail import thumbnail
from lmdiag.looks import LOOKS

COLUMNS = 4
LONGEST = 84  # characters of a verdict on a card
INTRODUCTION = """<div style="padding:0.4rem 0 0.2rem 0">
<h1 style="font-size:2.3rem;margin:0;padding:0">Is this training run healthy?</h1>
<p style="font-size:1.1rem;opacity:0.8;margin:0.4rem 0 0 0;max-width:52rem">lmdiag reads the log of a
language-model training run, whatever program wrote it, and says what is wrong, since which step, how it knows, and
what to do.</p></div>"""


def draw() -> None:
    """Draw the first screen."""
    st.html(INTRODUCTION)
    upload("Drop training logs here")
    paths = logs.samples()
    if not paths:
        return
    st.subheader("Or open a sample", anchor=False)
    st.caption("Real runs of the bundled trainers, some of them broken on purpose.")
    for start in range(0, len(paths), COLUMNS):
        for column, path in zip(st.columns(COLUMNS), paths[start : start + COLUMNS]):
            with column:
                _card(path)


def _card(path: Path) -> None:
    log = logs.read_file(path)
    if log.problem is not None:
        return
    diagnosis = log.judged.diagnoses[0]
    said = headline(diagnosis) if diagnosis.verdict != "healthy" else "Nothing needs action."
    with st.container(border=True, key=f"sample-{log.key}"):
        title = plain(path.stem.replace("-", " ").replace("_", " "))
        st.markdown(f"{badge(LOOKS[diagnosis.shown])}  \n**{title}**")
        st.html(image(thumbnail(diagnosis.run), f"loss curve of {path.stem}", "width:100%;height:56px"))
        st.caption(plain(shorten(said, LONGEST, placeholder=" …")))
        st.button("Open", key=f"open-{log.key}", on_click=logs.open_sample, args=(path,), width="stretch")
