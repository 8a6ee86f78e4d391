"""Many runs side by side: a table, overlaid or grouped curves, a verdict against baselines, settings that differ."""

from __future__ import annotations

import streamlit as st

from lmdiag import charts
from lmdiag.app import controls, downloads, logs
from lmdiag.app.markup import plain
from lmdiag.charts.downsampling import candidates, extremes
from lmdiag.compare import compare, direction_of
from lmdiag.diagnose import Diagnosis
from lmdiag.errors import LmdiagError
from lmdiag.reports.summary import last_value, summarize
from lmdiag.reports.terminal import verdict_look
from lmdiag.run import Run
from lmdiag.task_measures import progress

SPARKS = 30
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
    known = _chosen(known, names)
    st.dataframe(
        [_row(names[key], d) for key, d in known.items()],
        hide_index=True,
        column_config={"curve": st.column_config.LineChartColumn("loss or reward", width="small")},
    )
    runs = {names[key]: d.run for key, d in known.items()}
    _curves(runs)
    _against_baselines(runs)
    _settings(runs)


def _chosen(known: dict[str, Diagnosis], names: dict[str, str]) -> dict[str, Diagnosis]:
    """Draw which of the runs to compare, all at first, and return them."""
    st.session_state["compared"] = [key for key in st.session_state.get("compared") or known if key in known]
    with st.expander(f"Runs compared: {len(st.session_state['compared']) or len(known)} of {len(known)}"):
        chosen = st.multiselect(
            "Runs", list(known), key="compared", format_func=names.__getitem__, label_visibility="collapsed"
        )
    return {key: known[key] for key in chosen} or known


def _row(name: str, diagnosis: Diagnosis) -> dict[str, object]:
    run, best, shown = diagnosis.run, diagnosis.best, progress(diagnosis.run)
    curve = shown[1] if shown else None
    losses = shown is not None and run.curve is not None and shown[0] == run.curve[0]
    values = None if curve is None else curve.values[candidates(curve, 0, len(curve))]
    return {
        "verdict": verdict_look(diagnosis.shown)[0],
        "run": name,
        "curve": [] if values is None else values[extremes(values, buckets=SPARKS)].tolist(),
        "steps": run.last_step,
        "last value": last_value(run),
        "lowest loss": summarize(run).loss_min if losses else None,
        "best evaluation": best.value if best else None,
        "at step": best.step if best else None,
        "alarms": ", ".join(f.rule for f in diagnosis.findings if f.alarms),
    }


def _curves(runs: dict[str, Run]) -> None:
    first = next(iter(runs.values()))
    metrics = list(dict.fromkeys(name for run in runs.values() for name in run if not name.startswith("layers/")))
    main = (progress(first) or ("loss",))[0]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        metric = st.selectbox(
            "Metric", metrics, metrics.index(main) if main in metrics else 0, key="compare-metric", width=220
        )
        grouped = st.toggle(
            "Group seeds",
            key="compare-grouped",
            help="The mean of the runs that share all settings but the seed, and their range.",
        )
    view = controls.view_of("compare", first, with_loss=False)
    drawing = (
        charts.grouped_chart(charts.seed_groups(runs), metric, view)
        if grouped
        else charts.overlay_chart(runs, metric, view)
    )
    if drawing is not None:
        st.vega_lite_chart(drawing.spec, key=f"chart-compare-{metric}-{grouped}", alt=drawing.alt)
        downloads.behind("compare", runs, view, {metric: drawing})


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
        st.warning(plain(f"{error.message}. {error.hint}"))
        return
    direction = direction_of(found)
    reasons = "".join(f"\n- {plain(c.metric)}: {plain(c.why)}" for c in found if c.why)
    SIGNS[direction](f"**{plain(candidate)}**: {WORDS[direction]}.{reasons}")


def _settings(runs: dict[str, Run]) -> None:
    differences = charts.differing_settings(runs)
    st.subheader("Settings that differ", anchor=False)
    if not differences:
        st.caption("None, apart from seeds and names.")
        return
    st.dataframe([{"setting": name, **values} for name, values in differences.items()], hide_index=True)
