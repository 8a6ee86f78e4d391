"""The verdict on a run in words, sign and colour, with the few numbers that sum the run up."""

from __future__ import annotations

import math

import streamlit as st

from lmdiag.app import curves
from lmdiag.app.markup import VERDICTS, headline, html, image, short
from lmdiag.diagnose import Diagnosis
from lmdiag.reports.phrases import number
from lmdiag.reports.summary import summarize
from lmdiag.run import Run

COLOURS = {"red": "#C44E00", "orange": "#B07800", "green": "#007A59", "gray": "#6B7280"}
SIGNS = {  # drawn, not typed: fonts differ in how they show crosses and ticks
    "unhealthy": '<circle cx="12" cy="12" r="11"/><path d="M8 8l8 8M16 8l-8 8"/>',
    "suspect": '<path d="M12 2L23 21H1Z"/><path d="M12 9v6M12 17.6v.6"/>',
    "healthy": '<circle cx="12" cy="12" r="11"/><path d="M7 12.5l3.5 3.5L17 9"/>',
    "not-judged": '<circle cx="12" cy="12" r="11"/><path d="M9 9.5a3 3 0 1 1 4 2.8c-.8.4-1 .9-1 1.7M12 17v.6"/>',
}


def draw(diagnosis: Diagnosis) -> None:
    """Draw the verdict."""
    look = VERDICTS[diagnosis.verdict]
    colour = COLOURS[look.colour]
    facts = "".join(
        f'<div><dt style="opacity:.75;font-size:.8rem;font-weight:400;margin:0">{html(name)}</dt>'
        f'<dd style="margin:0;padding:0;font-size:1.1rem;font-weight:600">{html(value)}</dd></div>'
        for name, value in facts_of(diagnosis)
    )
    st.html(
        f'<section aria-label="verdict" style="border-left:6px solid {colour};border-radius:.5rem;padding:.7rem 1.2rem;'
        f'background:color-mix(in srgb, {colour} 11%, transparent)">'
        f'<div style="display:flex;align-items:center;gap:.6rem">{sign(diagnosis.verdict, 30)}'
        f'<h1 style="font-size:1.6rem;margin:0;padding:0">{html(look.word)}</h1>'
        f'<span style="opacity:.75;margin-left:auto;overflow-wrap:anywhere">{html(short(diagnosis.run.name, 100))}</span></div>'
        f'<p style="margin:.3rem 0 .5rem 0;font-size:1.05rem;overflow-wrap:anywhere">{html(headline(diagnosis))}</p>'
        f'<dl style="display:flex;flex-wrap:wrap;gap:.4rem 2.2rem;margin:0;padding:0">{facts}</dl></section>'
    )


def sign(verdict: str, size: int) -> str:
    """Return the sign of a verdict as an image: a different shape for each."""
    colour = COLOURS[VERDICTS[verdict].colour]
    shape, stroke = SIGNS[verdict].split("/>", 1)
    return image(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"><g fill="{colour}">{shape}/></g>'
        f'<g fill="none" stroke="#fff" stroke-width="2.4" stroke-linecap="round" stroke-linejoin="round">{stroke}</g></svg>',
        "",
        f"width:{size}px;height:{size}px;flex:none",
    )


def facts_of(diagnosis: Diagnosis) -> list[tuple[str, str]]:
    """Return the numbers that sum a run up, with their names."""
    run, summary, best = diagnosis.run, summarize(diagnosis.run), diagnosis.best
    planned = run.config.get("max_steps") if run.step_kind == "step" else None
    ahead = isinstance(planned, int | float) and planned > run.last_step
    facts = [
        (f"{run.step_kind}s", f"{run.first_step:,} – {run.last_step:,}" + (f" of {planned:,.0f}" if ahead else "")),
        ("first loss", number(summary.loss_first)),
        ("last loss", number(summary.loss_last)),
        ("lowest loss", number(summary.loss_min)),
    ]
    if summary.perplexity_last is not None:
        facts.append(("last perplexity", number(summary.perplexity_last)))
    if best is not None:
        facts.append((f"best {best.metric}", f"{number(best.value)} at step {best.step:,}"))
    bits = bits_per_byte(run, best.value) if best is not None else None
    if bits is not None:
        facts.append(("best bits per byte", number(bits)))
    expected = curves.forecast_of(diagnosis)
    if expected is not None:
        interval = f"{number(expected.loss)} ({number(expected.low)} – {number(expected.high)})"
        facts.append((f"forecast for step {expected.step:,} (90% interval)", interval))
    if run.complete is not None and not ahead:
        facts.append(("came to its end", "yes" if run.complete else "no"))
    return facts


def bits_per_byte(run: Run, loss: float) -> float | None:
    """Return a loss in bits per byte of text, which tokenizers do not change; None where the log does not tell the bytes of a token."""
    size = run.config.get("bytes_per_token")
    return loss / math.log(2) / size if isinstance(size, int | float) and size > 0 else None
