"""Many runs side by side: a table, overlaid or grouped curves, a verdict against baselines, settings that differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import streamlit as st

from lmdiag import charts
from lmdiag.app import controls, downloads, logs, zoom
from lmdiag.app.markup import plain, sentences
from lmdiag.app.names import told_apart
from lmdiag.charts import Drawing, View
from lmdiag.charts.downsampling import candidates, extremes
from lmdiag.charts.view import positions
from lmdiag.compare import compare, direction_of
from lmdiag.diagnose import Diagnosis
from lmdiag.errors import LmdiagError
from lmdiag.reports.summary import last_value, summarize
from lmdiag.reports.terminal import verdict_look
from lmdiag.run import Run
from lmdiag.task_measures import progress

SPARKS = 30
MOST_SETTINGS = 4  # that differ, in the table
MOST_ROWS, ROW_HEIGHT = 7, 35  # of the table, and pixels of a row
NONE = "none"
WORDS = {
    "worse": "worse than the baselines",
    "better": "better than the baselines",
    "alike": "not worse than the baselines",
    "cannot-tell": "cannot tell",
}
SIGNS = {"worse": st.error, "better": st.success, "alike": st.success, "cannot-tell": st.info}


def draw(known: dict[str, Diagnosis]) -> None:
    """Draw the page."""
    if len(known) < 2:
        st.info("Open at least two runs to compare them.")
        return
    names = logs.names()
    names = dict(zip(names, told_apart(list(names.values()))))
    known = _chosen(known, names)
    runs = {names[key]: d.run for key, d in known.items()}
    differing = charts.differing_settings(runs)
    turn, clicked = st.session_state.get("compare-clicked", (0, ()))
    event = st.dataframe(
        [_row(names[key], d, differing) for key, d in known.items()],
        key=f"compare-table-{turn}-{'-'.join(known)}",
        hide_index=True,
        height=min(len(known) + 1, MOST_ROWS) * ROW_HEIGHT + 3,
        column_config={
            "run": st.column_config.TextColumn(pinned=True),
            "curve": st.column_config.LineChartColumn("loss or reward", width="small"),
        },
        on_select="rerun",
        selection_mode="multi-row",
        placeholder="",
        selection_default={"selection": {"rows": [row for row, name in enumerate(runs) if name in clicked]}},
        alt="The runs compared; a ticked run stands in front of the others in the chart",
    )
    ticked = [list(runs)[row] for row in event.selection.rows if row < len(runs)]
    _curves(runs, ticked, turn)
    _against_baselines(runs)
    _settings(differing)


def _chosen(known: dict[str, Diagnosis], names: dict[str, str]) -> dict[str, Diagnosis]:
    """Draw which of the runs to compare, all at first, and return them."""
    st.session_state["compared"] = [key for key in st.session_state.get("compared") or known if key in known]
    with st.expander(f"Runs compared: {len(st.session_state['compared']) or len(known)} of {len(known)}"):
        chosen = st.multiselect(
            "Runs", list(known), key="compared", format_func=names.__getitem__, label_visibility="collapsed"
        )
    return {key: known[key] for key in chosen} or known


def _row(name: str, diagnosis: Diagnosis, differing: Mapping[str, Mapping[str, str]]) -> dict[str, object]:
    run, best, shown = diagnosis.run, diagnosis.best, progress(diagnosis.run)
    curve = shown[1] if shown else None
    losses = shown is not None and run.curve is not None and shown[0] == run.curve[0]
    values = None if curve is None else curve.values[candidates(curve, 0, len(curve))]
    return {
        "verdict": verdict_look(diagnosis.shown)[0],
        "run": name,
        **{f"{setting} ": of_runs.get(name, "") for setting, of_runs in list(differing.items())[:MOST_SETTINGS]},
        "curve": [] if values is None else values[extremes(values, buckets=SPARKS)].tolist(),
        "steps": run.last_step,
        "last value": last_value(run),
        "lowest loss": summarize(run).loss_min if losses else None,
        "best evaluation": best.value if best else None,
        "at step": best.step if best else None,
        "alarms": ", ".join(f.rule for f in diagnosis.findings if f.alarms),
    }


def _curves(runs: dict[str, Run], ticked: Sequence[str], turn: int) -> None:
    longest = max(runs.values(), key=lambda run: run.last_step)
    metrics = list(dict.fromkeys(name for run in runs.values() for name in run if not name.startswith("layers/")))
    main = (progress(next(iter(runs.values()))) or ("loss",))[0]
    row = st.container(horizontal=True, vertical_alignment="bottom")
    with row:
        metric = st.selectbox(
            "Metric", metrics, metrics.index(main) if main in metrics else 0, key="compare-metric", width=140
        )
        base = st.selectbox(
            "Difference from",
            [NONE, *runs],
            key="compare-base",
            width=150,
            help="A second chart: each run minus this one.",
        )
        grouped = st.toggle(
            "Group seeds",
            key="compare-grouped",
            help="The median of the runs that share all settings but the seed, and their whole range.",
        )
    view = controls.view_of("compare", longest, with_loss=False, row=row)
    if view.steps is not None:
        low, high = positions(longest, view.axis, np.array(view.steps)).tolist()
        view = replace(view, across=(low, high))
    drawings = _drawings(runs, metric, view, grouped, base, ticked)
    if not drawings:
        return
    whole = charts.compared_chart(runs, metric, view, list(drawings.values()))
    identity = f"chart-compare-{turn}-{metric}-{grouped}-{base}-{zoom.turn()}-{view.axis}"
    modes = ["zoom", "back", "pick"]
    event = st.vega_lite_chart(whole.spec, key=identity, alt=whole.alt, on_select="rerun", selection_mode=modes)
    if event.selection.get("pick") and not grouped:
        name = next(iter(drawings.values())).names[int(event.selection["pick"][0]["t"])]
        st.session_state["compare-clicked"] = (turn + 1, tuple(set(ticked) ^ {name}))
        st.rerun()
    if event.selection.get("back"):
        heard = zoom.back("compare")
    else:
        heard = zoom.on_drag("compare", longest, view.axis, dict(event.selection.get("zoom", {})))
    if heard:
        st.rerun()
    st.caption(
        "Point at a name to single its curve out; a click on it, or a tick in the table, keeps the run in front. Drag to zoom, double-click to go back."
    )
    downloads.behind("compare", runs, view, drawings)


def _drawings(
    runs: dict[str, Run], metric: str, view: View, grouped: bool, base: str, ticked: Sequence[str]
) -> dict[str, Drawing]:
    """Return the charts of the page by name: all runs or their groups, and how far they are from the chosen one."""
    if grouped:
        first = charts.grouped_chart(charts.seed_groups(runs), metric, view)
    else:
        first = charts.overlay_chart(runs, metric, view, ticked)
    apart = charts.difference_chart(runs, metric, view, base) if base != NONE and not grouped else None
    return {name: drawn for name, drawn in ((metric, first), (f"{metric} minus {base}", apart)) if drawn is not None}


def _against_baselines(runs: dict[str, Run]) -> None:
    st.subheader("Worse than the runs before it, or better?", anchor=False)
    names = list(runs)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        candidate = st.selectbox("Candidate", names, len(names) - 1, key="compare-candidate", width=260)
        baselines = st.multiselect("Baselines", [n for n in names if n != candidate], key="compare-baselines")
        tolerance = st.number_input("Tolerance (%)", 0.0, 50.0, 1.0, 0.5, key="compare-tolerance", width=140)
    if not candidate or not baselines:
        st.caption("Choose runs that went well as baselines: the candidate is compared with them, allowing for noise.")
        return
    try:
        found = compare([runs[n] for n in baselines], runs[candidate], tolerance=tolerance / 100)
    except LmdiagError as error:
        st.warning(sentences(error.message, error.hint))
        return
    direction = direction_of(found)
    reasons = "".join(f"\n- {plain(c.metric)}: {plain(c.why)}" for c in found if c.why)
    SIGNS[direction](f"**{plain(candidate)}**: {WORDS[direction]}.{reasons}")


def _settings(differences: Mapping[str, Mapping[str, str]]) -> None:
    st.subheader("Settings that differ", anchor=False)
    if not differences:
        st.caption("None, apart from seeds and names.")
        return
    st.dataframe([{"setting": name, **values} for name, values in differences.items()], hide_index=True)
