"""The first screen: three ways in, and samples by what they teach."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from lmdiag.app import logs, reading, typed
from lmdiag.app.markup import badge, image, plain
from lmdiag.app.sidebar import upload
from lmdiag.charts.thumbnail import thumbnail
from lmdiag.looks import LOOKS

COLUMNS = 4
LESSONS = {
    "healthy-transformer": "A healthy run, to hold others against",
    "divergence": "The learning rate was too high",
    "loss-spike": "A spike: did it do harm?",
    "non-finite-loss": "NaN: since when, and what came before",
    "overfitting": "Overfitting: which checkpoint to keep",
    "not-learning": "Nothing is learnt",
    "dead-layer": "One layer gets no gradient",
    "resume-jump": "A resume that went wrong",
    "data-starvation": "Slow: it waits for its data",
    "memory-growth": "Memory that fills up",
    "kl-explosion": "GRPO: far away from its reference",
    "swapped-pairs": "DPO: pairs the wrong way round",
}
INTRODUCTION = """<div style="padding:0.4rem 0 0.2rem 0">
<h1 style="font-size:2.3rem;margin:0;padding:0">Is this training run healthy?</h1>
<p style="font-size:1.1rem;opacity:0.8;margin:0.4rem 0 0 0;max-width:52rem">lmdiag reads the log of a
language-model training run, whatever program wrote it, and says what is wrong, since which step, how it knows, and
what to do.</p></div>"""


def draw() -> None:
    """Draw the first screen."""
    st.html(INTRODUCTION)
    _ways_in()
    _samples()


def _ways_in() -> None:
    if not typed.is_allowed():
        upload("Drop training logs here")
        return
    drop, name, follow = st.columns(3)
    with drop.container(border=True, height="stretch"):
        st.markdown("**Drop logs**")
        upload("Drop training logs here", label_visibility="collapsed")
    with name.container(border=True, height="stretch"):
        st.markdown("**Name a path or an address**")
        typed.ask("Path or address", "typed", "runs/   or   https://…/train.jsonl")
        st.caption(f"A file, a folder or a pattern below {plain(str(Path.cwd()))}, of any size.")
    with follow.container(border=True, height="stretch"):
        st.markdown("**Follow a run while it trains**")
        typed.ask("Path to follow", "followed", "runs/today/", follow=True)
        st.caption("The page keeps up with the file, or with every log of the folder, and tells what goes wrong.")


def _samples() -> None:
    paths = logs.samples()
    if not paths:
        return
    st.subheader("Or see what it says of a sample", anchor=False)
    known = {path.stem: path for path in paths}
    taught = [known[stem] for stem in LESSONS if stem in known]
    every = st.toggle(f"All {len(paths)} samples", key="all_samples")
    shown = [*taught, *(path for path in paths if path not in taught)] if every else taught
    for start in range(0, len(shown), COLUMNS):
        for column, path in zip(st.columns(COLUMNS), shown[start : start + COLUMNS]):
            with column:
                _card(path)


def _card(path: Path) -> None:
    log = reading.read_file(path)
    if log.problem is not None:
        return
    diagnosis = log.judged.diagnoses[0]
    name = path.stem.replace("-", " ").replace("_", " ")
    with st.container(border=True, height="stretch", vertical_alignment="distribute", key=f"sample-{log.key}"):
        st.markdown(f"{badge(LOOKS[diagnosis.shown])}  \n**{plain(LESSONS.get(path.stem, name))}**")
        st.html(image(thumbnail(diagnosis.run), f"loss curve of {path.stem}", "width:100%;height:56px"))
        st.button(
            "Open", key=f"open-{log.key}", on_click=logs.open_sample, args=(path,), width="stretch", help=path.name
        )
