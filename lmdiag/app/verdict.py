"""The verdict on a run in words, icon and colour, with the few numbers that sum the run up."""

from __future__ import annotations

import math

import streamlit as st

from lmdiag.app import curves
from lmdiag.app.markup import headline, html, short
from lmdiag.charts.palette import DARK, LIGHT
from lmdiag.diagnose import Diagnosis
from lmdiag.looks import LOOKS
from lmdiag.methods import METHODS
from lmdiag.reports.phrases import checkpoint, number, perplexity
from lmdiag.reports.summary import key_numbers, summarize
from lmdiag.run import Run

SIGN = "flex:none;width:1.9rem;height:1.9rem;line-height:1.9rem;border-radius:50%;text-align:center;font-weight:700"


def draw(diagnosis: Diagnosis) -> None:
    """Draw the verdict."""
    look, dark = LOOKS[diagnosis.shown], st.context.theme.type == "dark"
    colour, page = (look.colour.dark, DARK.background) if dark else (look.colour.light, LIGHT.background)
    facts = "".join(
        f'<div><dt style="opacity:.75;font-size:.8rem;font-weight:400;margin:0">{html(name)}</dt>'
        f'<dd style="margin:0;padding:0;font-size:1.1rem;font-weight:600">{html(value)}</dd></div>'
        for name, value in facts_of(diagnosis)
    )
    st.html(
        f'<section aria-label="verdict" style="border-left:6px solid {colour};border-radius:.5rem;padding:.7rem 1.2rem;'
        f'background:color-mix(in srgb, {colour} 11%, transparent)">'
        f'<div style="display:flex;align-items:center;gap:.6rem">'
        f'<span aria-hidden="true" style="{SIGN};color:{page};background:{colour}">{look.icon}</span>'
        f'<h1 style="font-size:1.6rem;margin:0;padding:0">{html(look.word.capitalize())}</h1>'
        '<span style="opacity:.75;margin-left:auto;overflow-wrap:anywhere">'
        f"{html(short(diagnosis.run.name, 100))}</span></div>"
        f'<p style="margin:.3rem 0 .5rem 0;font-size:1.05rem;overflow-wrap:anywhere">{html(headline(diagnosis))}</p>'
        f'<dl style="display:flex;flex-wrap:wrap;gap:.4rem 2.2rem;margin:0;padding:0">{facts}</dl></section>'
    )


def facts_of(diagnosis: Diagnosis) -> list[tuple[str, str]]:
    """Return the numbers that sum a run up, with their names."""
    run, summary, best = diagnosis.run, summarize(diagnosis.run), diagnosis.best
    planned = run.config.get("max_steps") if run.step_kind == "step" else None
    ahead = isinstance(planned, int | float) and planned > run.last_step
    facts = [
        (f"{run.unit}s", f"{run.first_step:,} – {run.last_step:,}" + (f" of {planned:,.0f}" if ahead else "")),
        *((name, number(value)) for name, _, value in key_numbers(run, summary)),
    ]
    if run.trained_by != "pretraining":
        facts.insert(0, ("method", METHODS[run.trained_by][1]))
    told = perplexity(diagnosis)
    if told is not None:
        facts += [(told[0], told[1])] + ([(f"best {told[0]}", told[2])] if told[2] else [])
    if best is not None:
        facts.append((f"best {best.metric}", f"{number(best.value)} at {run.place(best.step)}"))
        if diagnosis.keep != best:
            facts.append(("checkpoint to keep", checkpoint(diagnosis)))
    bits = bits_per_byte(run, best.value) if best is not None and run.kind == "language-model" else None
    if bits is not None:
        facts.append(("best bits per byte", number(bits)))
    expected = curves.forecast_of(diagnosis)
    if expected is not None:
        interval = f"{number(expected.loss)} ({number(expected.low)} – {number(expected.high)})"
        facts.append((f"forecast for {run.place(expected.step)} (90% interval)", interval))
    if run.complete is not None and not ahead:
        facts.append(("came to its end", "yes" if run.complete else "no"))
    return facts


def bits_per_byte(run: Run, loss: float) -> float | None:
    """Return a loss in bits per byte of text, whatever the tokenizer; None where the log has no bytes per token."""
    size = run.config.get("bytes_per_token")
    return loss / math.log(2) / size if isinstance(size, int | float) and size > 0 else None
