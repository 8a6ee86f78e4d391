"""The curves of a run, one above the other over the same x axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import streamlit as st

from lmdiag import charts
from lmdiag.app import controls, downloads, zoom
from lmdiag.charts import Drawing, View
from lmdiag.diagnose import Diagnosis
from lmdiag.forecast import Forecast
from lmdiag.run import Run

Drawn = TypeVar("Drawn")
MOST_OWN = 6  # findings whose own metrics are drawn beside the usual ones


def draw(key: str, diagnosis: Diagnosis) -> None:
    """Draw the controls and the charts."""
    run = diagnosis.run
    expected = forecast_of(diagnosis)
    view = controls.view_of(key, run, until=expected.step if expected else None)
    more = tuple(st.session_state.get(f"more-{key}", ()))
    timeline, drawings = remembered(f"{key}-curves", diagnosis, (view, more), lambda: _drawings(diagnosis, view, more))
    if timeline is not None:
        _draw_timeline(key, diagnosis, view, timeline)
    stack(f"{key}-curves", key, run, view, drawings)
    shown = {metric for drawing in drawings.values() if drawing for metric in drawing.metrics} - set(more)
    others = [name for name in run.series if name not in shown and len(run[name])]
    if others:
        st.multiselect("More metrics", others, key=f"more-{key}", placeholder="Search the other metrics of this log")


def _draw_timeline(key: str, diagnosis: Diagnosis, view: View, timeline: Drawing) -> None:
    """Draw the findings along the run; a click on one of them zooms all charts to it."""
    identity = f"chart-findings-{key}-{view.steps}-{view.axis}"
    event = st.vega_lite_chart(
        timeline.spec, key=identity, alt=timeline.alt, on_select="rerun", selection_mode="finding"
    )
    chosen = event.selection.get("finding") or []
    if chosen:
        zoom.on_finding(key, diagnosis.run, diagnosis.findings[int(chosen[0]["rank"])])
        st.rerun()


def remembered(place: str, diagnosis: Diagnosis, view: object, make: Callable[[], Drawn]) -> Drawn:
    """Return what `make` draws, or what it drew last in this place for the same run and view."""
    last: dict[str, Any] = st.session_state.setdefault("drawn", {})
    known = last.get(place)
    if known is None or known[0] is not diagnosis or known[1] != view:
        last[place] = (diagnosis, view, make())
    found: Drawn = last[place][2]
    return found


def _drawings(
    diagnosis: Diagnosis, view: View, more: Sequence[str]
) -> tuple[Drawing | None, dict[str, Drawing | None]]:
    run, findings = diagnosis.run, diagnosis.findings
    best = diagnosis.best and (diagnosis.best.metric, diagnosis.best.step, diagnosis.best.value)
    usual = {
        **charts.main_charts(run, findings, view, best or None, forecast_of(diagnosis)),
        "gradient norm": charts.gradient_chart(run, findings, view, foot="lr" not in run),
        "learning rate": charts.lr_chart(run, findings, view),
    }
    shown = {metric for drawing in usual.values() if drawing for metric in drawing.metrics}
    accused = [f.metric for f in sorted(findings, key=lambda f: not f.alarms) if f.metric in run.series]
    wanted = dict.fromkeys(metric for metric in (*accused[:MOST_OWN], *more) if metric not in shown)
    own = {metric: charts.series_chart(run, metric, findings, view, foot=False) for metric in wanted}
    first, *rest = usual.items()
    return charts.timeline_chart(run, findings, view), dict([first, *own.items(), *rest])


def forecast_of(diagnosis: Diagnosis) -> Forecast | None:
    """Return the forecast of the final loss, None for a run that is over or cannot be forecast."""
    planned = diagnosis.run.config.get("max_steps")
    if not isinstance(planned, int | float) or planned <= diagnosis.run.last_step:
        return None
    return diagnosis.forecast


def stack(place: str, key: str, run: Run, view: View, drawings: dict[str, Drawing | None]) -> None:
    """Draw charts one above the other; dragging over one zooms all of the run. `place` makes their keys unique."""
    for name, drawing in drawings.items():
        if drawing is not None:
            _draw(place, key, name, run, view, drawing)
    notes = [f"{name} {drawing.note}" for name, drawing in drawings.items() if drawing is not None and drawing.note]
    thinned = f"Shown: {'; '.join(notes)}; every extreme and every flagged point is kept. " if notes else ""
    bars = " Bars: the scatter of one evaluation." if "loss" in drawings else ""
    st.caption(f"{thinned}Drag over a chart to zoom.{bars}")
    downloads.behind(place, {run.name: run}, view, drawings)


def _draw(place: str, key: str, name: str, run: Run, view: View, drawing: Drawing) -> None:
    # The range is part of the identity, so that a new range starts without the old selection.
    identity = f"chart-{name}-{place}-{view.steps}-{view.axis}"
    event = st.vega_lite_chart(drawing.spec, key=identity, alt=drawing.alt, on_select="rerun", selection_mode="zoom")
    if zoom.on_drag(key, run, view.axis, dict(event.selection.get("zoom", {}))):
        st.rerun()
