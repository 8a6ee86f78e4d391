"""The verdict on a run in words, icon and colour, with the few numbers that sum the run up."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import streamlit as st

from lmdiag.app import curves
from lmdiag.app.markup import headline, html
from lmdiag.charts.palette import DARK, LIGHT
from lmdiag.diagnose import Diagnosis
from lmdiag.finding import Advice
from lmdiag.looks import LOOKS
from lmdiag.methods import METHODS
from lmdiag.reports.phrases import checkpoint, number, perplexity
from lmdiag.reports.summary import key_numbers, summarize
from lmdiag.run import Run

SIGN = "flex:none;width:1.5rem;height:1.5rem;line-height:1.5rem;border-radius:50%;text-align:center;font-weight:700"
REASON = re.compile(r"[:;] |, where \S+ was lowest")  # behind which advice says why, or what else
ASIDE = re.compile(r" \([^()]*\)")
PART = re.compile(r"(?<=.{20})[,:;] ")
LINE = 125  # letters of the line of the verdict on a page 1,440 pixels wide
MOST_ACTIONS = 3
SETTINGS = {
    "lr": "learning rate {}",
    "warmup_steps": "warm-up of {} steps",
    "grad_clip": "clip gradients at {}",
    "weight_decay": "weight decay {}",
    "dropout": "dropout {}",
    "accumulation": "accumulate {} batches",
    "schedule": "{} schedule",
    "precision": "use {}",
}


def draw(diagnosis: Diagnosis) -> None:
    """Draw the verdict: what is wrong and what to do in one line where the page is wide enough, and the numbers of the run."""
    look, dark = LOOKS[diagnosis.shown], st.context.theme.type == "dark"
    colour, page = (look.colour.dark, DARK.background) if dark else (look.colour.light, LIGHT.background)
    facts = "".join(
        f'<div><dt style="display:inline;opacity:.75;font-size:.8rem;font-weight:400">{html(name)} </dt>'
        f'<dd style="display:inline;margin:0;padding:0;font-size:.9rem;font-weight:600;overflow-wrap:anywhere">{html(value)}</dd></div>'
        for name, value in facts_of(diagnosis)
    )
    do = action(diagnosis)
    to_do = f" <strong>→ {html(do)}</strong>" if do else ""
    st.html(
        f'<section aria-label="verdict" style="border-left:6px solid {colour};border-radius:.5rem;padding:.4rem 1rem;'
        f'background:color-mix(in srgb, {colour} 11%, transparent)">'
        f'<div style="display:flex;flex-wrap:wrap;align-items:baseline;gap:.1rem .6rem">'
        f'<span aria-hidden="true" style="{SIGN};color:{page};background:{colour}">{look.icon}</span>'
        f'<h1 style="font-size:1.2rem;margin:0;padding:0">{html(look.word.capitalize())}</h1>'
        f'<p style="margin:0;flex:1 1 20rem;font-size:.95rem;overflow-wrap:anywhere">{html(cause(diagnosis))}{to_do}</p></div>'
        f'<dl style="display:flex;flex-wrap:wrap;gap:.1rem 1.2rem;margin:.2rem 0 0 0;padding:0">{facts}</dl></section>'
    )


def cause(diagnosis: Diagnosis) -> str:
    """Say what is wrong, as many parts of the headline as have room beside what to do: its card has all of it."""
    words = headline(diagnosis)
    if not any(f.alarms for f in diagnosis.findings):
        return words.removeprefix(f"{LOOKS[diagnosis.shown].word.capitalize()}: ")
    room = LINE - len(action(diagnosis))
    if len(words) <= room:
        return words.rstrip(".")
    parts = _parts(words)
    return max((part for part in parts if len(part) <= room), key=len, default=parts[0])


def _parts(words: str) -> list[str]:
    """Return a sentence without its asides up to the end of each of its parts, the shortest first."""
    plain = ASIDE.sub("", words).rstrip(".")
    return [*(plain[: found.start()] for found in PART.finditer(plain)), plain]


def action(diagnosis: Diagnosis) -> str:
    """Say in a few words what to do about the first alarm, and which checkpoint to keep; "" where nothing alarms.

    Of its advice these are the lines that decide something, or the first: the settings that they ask for, or the words up to their reason,
    as many as have room beside the shortest way to say what is wrong.
    """
    alarm = next((f for f in diagnosis.findings if f.alarms), None)
    if alarm is None:
        return ""
    deciding = [words for words in alarm.advice if isinstance(words, Advice) and words.about][:MOST_ACTIONS]
    room = LINE - len(_parts(alarm.message)[0])
    told = _line(deciding or alarm.advice[:1], diagnosis)
    while len(told) > room and len(deciding) > 1:
        deciding.pop()
        told = _line(deciding, diagnosis)
    return told[:1].upper() + told[1:]


def _line(advice: Sequence[str], diagnosis: Diagnosis) -> str:
    said = [_in_few_words(words) for words in advice]
    kept = any("checkpoint" in words.about for words in advice if isinstance(words, Advice))
    if diagnosis.keep is not None:
        place = diagnosis.run.place_of(diagnosis.keep.metric, diagnosis.keep.step)
        said += [] if kept and place in " ".join(said) else [f"keep {place}"]
    return " · ".join(said)


def _in_few_words(advice: str) -> str:
    change = advice.change if isinstance(advice, Advice) else {}
    values = {name: value if isinstance(value, str) else number(value) for name, value in change.items()}
    asked = ", ".join(SETTINGS[name].format(value) for name, value in values.items())
    return asked or REASON.split(advice)[0].rstrip(".").replace("from the last checkpoint before", "before").replace(
        "from the checkpoint of", "from"
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
        facts.append((f"best {best.metric}", f"{number(best.value)} at {run.place_of(best.metric, best.step)}"))
        if diagnosis.keep != best and not action(diagnosis):
            facts.append(("checkpoint to keep", checkpoint(diagnosis)))
    bits = bits_per_byte(run, best.value) if best is not None and run.kind == "language-model" else None
    if bits is not None:
        facts.append(("best bits per byte", number(bits)))
    expected = curves.forecast_of(diagnosis)
    if expected is not None:
        interval = f"{number(expected.loss)} ({number(expected.low)} – {number(expected.high)})"
        facts.append((f"forecast for {run.place(expected.step)} (90% interval)", interval))
    if run.complete is False and not ahead:
        facts.append(("came to its end", "no"))
    return facts


def bits_per_byte(run: Run, loss: float) -> float | None:
    """Return a loss in bits per byte of text, whatever the tokenizer; None where the log has no bytes per token."""
    size = run.config.get("bytes_per_token")
    return loss / math.log(2) / size if isinstance(size, int | float) and size > 0 else None
