"""What the log has beside its curves: header, settings, text samples, and how it was read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import streamlit as st

from lmdiag.app.markup import plain
from lmdiag.diagnose import Diagnosis
from lmdiag.reports.account import left_out
from lmdiag.reports.phrases import by_reason, not_read, visible
from lmdiag.run import Run

MOST_SAMPLES = 50
MOST_FACTS = 500
LONGEST_VALUE = 300
LONGEST_SAMPLE = 5000


def draw(key: str, diagnosis: Diagnosis) -> None:
    """Draw the facts of a run."""
    run = diagnosis.run
    left, right = st.columns(2, gap="medium")
    with left:
        st.subheader("Header and settings", anchor=False)
        facts = [{"name": name, "value": value} for name, value in flat(run.config)][:MOST_FACTS]
        st.dataframe(facts, hide_index=True) if facts else st.caption("The log has no header.")
        st.subheader("Columns", anchor=False)
        st.dataframe(_columns(run), hide_index=True)
    with right:
        _samples(key, run)
        _reading(diagnosis)


def flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield nested settings as dotted names with their values as text.

    >>> list(flat({"model": {"params": 10}, "lr": 0.1}))
    [('model.params', '10'), ('lr', '0.1')]
    """
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield visible(f"{prefix}{name}")[:LONGEST_VALUE], visible(str(value))[:LONGEST_VALUE]


def _columns(run: Run) -> list[dict[str, Any]]:
    """Return what was made of each column; of a run without an account, its metrics."""
    if not run.account.columns:
        return [
            {"metric": visible(name)[:LONGEST_VALUE], "values": len(series)} | _damage(run, (name,))
            for name, series in run.series.items()
            if not name.startswith("layers/")
        ]
    return [
        {
            "in the log": visible(column.name)[:LONGEST_VALUE],
            "taken for": visible(", ".join(column.metrics) or column.use)[:LONGEST_VALUE],
            "unit": column.unit,
            "values": column.values,
            **_damage(run, column.metrics),
            "times": column.scale,
            "why": visible(column.why)[:LONGEST_VALUE],
        }
        for column in run.account.columns
        if not column.name.startswith("layers/")
    ]


def _damage(run: Run, metrics: Sequence[str]) -> dict[str, int]:
    series = [run[name] for name in metrics if name in run]
    return {"not finite": sum(len(s) - len(s.finite) for s in series)}


def _samples(key: str, run: Run) -> None:
    """Show generated text by step, as it is."""
    samples = [e for e in run.events if e.kind == "sample" and e.message][-MOST_SAMPLES:]
    if not samples:
        return
    st.subheader("Text samples", anchor=False)
    last = len(samples) - 1
    at = (
        last
        if last == 0
        else st.select_slider(
            run.unit.capitalize(),
            range(last + 1),
            last,
            format_func=lambda i: f"{samples[i].step}",
            key=f"sample-{key}",
        )
    )
    if last == 0:
        st.caption(f"Generated at {run.place(samples[0].step or 0)}.")
    st.code(samples[at].message[:LONGEST_SAMPLE], language=None, wrap_lines=True)


def _reading(diagnosis: Diagnosis) -> None:
    run = diagnosis.run
    st.subheader("How the log was read", anchor=False)
    st.markdown(f"Read as **{plain(run.format or 'unknown')}** from {plain(run.source or 'memory')}.")
    for segment in run.segments if len(run.segments) > 1 else ():
        st.markdown(f"- {run.place(segment.first_step, segment.last_step)}, from row {segment.first_row + 1:,}")
    for skipped in left_out(run):
        st.markdown(f"- {plain(not_read(skipped))}")
    account = run.account
    if account.lines:
        st.markdown(
            f"- {account.lines:,} lines: {account.with_records:,} with records, {account.text:,} of text, "
            f"{account.blank:,} blank, {account.lost:,} lost"
        )
    for note in dict.fromkeys([*run.notes, *account.guesses]):
        st.markdown(f"- {plain(note)}")
    if diagnosis.not_checked:
        st.subheader("What was not checked", anchor=False)
        for why, rules in by_reason(diagnosis.not_checked).items():
            st.markdown(f"- **{plain(', '.join(rules))}**: {plain(why)}.")
