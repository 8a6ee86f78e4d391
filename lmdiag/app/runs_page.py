"""All open runs in one table, worst first: what is wrong with which, since when, and which checkpoint to keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import streamlit as st

from lmdiag import charts
from lmdiag.app import following, logs
from lmdiag.app.markup import headline
from lmdiag.app.verdict import cause
from lmdiag.charts.thumbnail import thumbnail
from lmdiag.diagnose import Diagnosis
from lmdiag.looks import LOOKS
from lmdiag.methods import METHODS
from lmdiag.reports.entries import entries
from lmdiag.reports.phrases import checkpoint, count
from lmdiag.reports.summary import key_numbers, summarize
from lmdiag.run import Run

MOST_SETTINGS = 6  # columns of settings that differ
# Columns that open a run: not the first, which a table that gets the focus selects
SHOWN = ("run", "wrong", "since", "curve")
ROW_HEIGHT, MOST_ROWS = 35, 22
LETTER = 7  # pixels, about: the table itself measures the first rows only
UNCODED = " '\"<>=/:.-"  # signs that stand in an address of a picture as they are: a quarter less than base64


def draw(known: Mapping[str, Diagnosis]) -> None:
    """Draw the page."""
    names = logs.names()
    wanted = _filtered(known)
    rows = [_row(key, names[key], known[key]) for key in wanted]
    rows = _with_settings(rows, {names[key]: known[key].run for key in wanted})
    if not rows:
        st.info("No open run has this verdict.")
        return
    st.caption(
        "Click a name to open the run, a heading to sort; the lens above the table searches. Tick runs to compare, pin, rename or close them."
    )
    event = st.dataframe(
        _table(rows),
        key=f"runs-{'-'.join(sorted(st.session_state.get('verdicts_shown') or []))}",
        hide_index=True,
        height=min(len(rows) + 1, MOST_ROWS) * ROW_HEIGHT + 3,
        column_config={
            "curve": st.column_config.ImageColumn(
                "loss", width="small", help="The line marks the first step of the main finding."
            ),
            "wrong": st.column_config.TextColumn("what is wrong", width=320),
            "verdict": st.column_config.TextColumn(width=100),
            "run": st.column_config.TextColumn(width=LETTER * max(len(row["run"]) for row in rows) + 24),
        },
        on_select="rerun",
        selection_mode=["multi-row", "single-cell"],
        placeholder="",
        alt="The open runs, worst first",
    )
    cells = event.selection.cells
    if cells and cells[0][1] in SHOWN:
        logs.show(list(wanted)[cells[0][0]])
        st.rerun()
    _buttons([list(wanted)[row] for row in event.selection.rows])


def _filtered(known: Mapping[str, Diagnosis]) -> list[str]:
    """Draw one pill per verdict with its count, and return the runs that they leave."""
    counts: dict[str, int] = {}
    for diagnosis in known.values():
        counts[diagnosis.shown] = counts.get(diagnosis.shown, 0) + 1
    st.subheader(f"{count(len(known), 'run')}", anchor=False)
    if len(counts) < 2:
        return list(known)
    chosen = st.pills(
        "Verdicts",
        list(counts),
        selection_mode="multi",
        format_func=lambda verdict: f"{LOOKS[verdict].symbol} {LOOKS[verdict].word} · {counts[verdict]}",
        key="verdicts_shown",
        label_visibility="collapsed",
    )
    return [key for key, diagnosis in known.items() if not chosen or diagnosis.shown in chosen]


def _table(rows: Sequence[Mapping[str, Any]]) -> Any:
    """Return the rows as a table of Arrow, which tells a loss that is NaN from one that is not there; pandas does not."""
    import pyarrow

    columns = {name: [row.get(name) for row in rows] for name in dict.fromkeys(name for row in rows for name in row)}
    texts = {name for name, values in columns.items() if any(isinstance(value, str) for value in values)}
    return pyarrow.table(
        {name: ["" if v is None and name in texts else v for v in values] for name, values in columns.items()}
    )


def _row(key: str, name: str, diagnosis: Diagnosis) -> dict[str, Any]:
    run, look = diagnosis.run, LOOKS[diagnosis.shown]
    alarm = next((entry.finding for entry in entries(diagnosis) if entry.finding.alarms), None)
    last = [(label, value) for label, _, value in key_numbers(run, summarize(run))]
    age = following.age_of(logs.of_run(key))
    return {
        "verdict": f"{look.icon} {look.word}",
        "run": f"★ {name}" if key == st.session_state.get("pinned") else name,
        "wrong": "" if diagnosis.verdict == "healthy" else cause(diagnosis),
        "since": run.place(alarm.first_step) if alarm else "",
        "curve": _picture(diagnosis),
        **dict(last[1:2]),
        **_last_evaluation(run),
        "keep": checkpoint(diagnosis),
        "last step": run.last_step,
        **({"last record": f"{following.told(age)} ago"} if age is not None else {}),
        **({"method": METHODS[run.trained_by][1]} if run.trained_by != "pretraining" else {}),
        "rule": alarm.rule if alarm else "",
        "why": headline(diagnosis),
        "file": run.source or run.name,
    }


def _last_evaluation(run: Run) -> dict[str, float]:
    """Return the last value of the evaluation under its name, nothing for a run without."""
    metric, values = run.evaluation_loss or ("", None)
    return {f"last {metric}": float(values.values[-1])} if values is not None and len(values) else {}


def _picture(diagnosis: Diagnosis) -> str:
    first = next((f.first_step for f in diagnosis.findings if f.alarms), None)
    svg = thumbnail(diagnosis.run, points=40, mark=first)
    return f"data:image/svg+xml,{quote(svg, safe=UNCODED)}"


def _with_settings(rows: Sequence[dict[str, Any]], runs: Mapping[str, Run]) -> list[dict[str, Any]]:
    """Return the rows with the settings that half of the runs state and that differ, those with the fewest values first, before the words."""
    differing = charts.differing_settings(dict(runs)) if len(runs) > 1 else {}
    values = {setting: [value for value in of_runs.values() if value] for setting, of_runs in differing.items()}
    telling = [name for name, known in values.items() if len(set(known)) > 1 and 2 * len(known) >= len(rows)]
    few = sorted(telling, key=lambda setting: len(set(values[setting])))[:MOST_SETTINGS]
    last = ("rule", "why", "file")
    return [
        {name: value for name, value in row.items() if name not in last}
        | {f"{setting} ": _short(differing[setting].get(run, "")) for setting in few}
        | {name: row[name] for name in last}
        for row, run in zip(rows, runs)
    ]


def _short(value: str) -> str:
    """Return a setting without the digits that only a binary fraction has.

    >>> _short("0.0010400000000000001"), _short("adam"), _short("4096")
    ('0.00104', 'adam', '4096')
    """
    try:
        return f"{float(value):.9g}" if "." in value else value
    except ValueError:
        return value


def _buttons(ticked: Sequence[str]) -> None:
    """Draw what can be done with the ticked runs."""
    if not ticked:
        return
    with st.container(horizontal=True):
        if len(ticked) == 1:
            st.button("Open", icon=":material/open_in_full:", on_click=logs.show, args=(ticked[0],))
            pinned = st.session_state.get("pinned") == ticked[0]
            st.button(
                "Unpin" if pinned else "Pin as best",
                icon=":material/star:",
                on_click=logs.pin,
                args=(None if pinned else ticked[0],),
            )
            with st.popover("Rename"):
                name = st.text_input("Name", logs.names()[ticked[0]], key=f"rename-{ticked[0]}")
                st.button("Rename", on_click=logs.rename, args=(ticked[0], name), key="rename-now")
        else:
            st.button(
                f"Compare {len(ticked)}", icon=":material/compare_arrows:", on_click=logs.compare, args=(tuple(ticked),)
            )
        st.button(
            f"Close {count(len(ticked), 'run')}",
            icon=":material/close:",
            on_click=logs.close_runs,
            args=(tuple(ticked),),
        )
