"""The curves of a run, one above the other over the same x axis."""

from __future__ import annotations

from typing import Any

import streamlit as st

from lmdiag import charts
from lmdiag.app import controls, zoom
from lmdiag.charts import Drawing, View
from lmdiag.diagnose import Diagnosis
from lmdiag.run import Run


def draw(key: str, diagnosis: Diagnosis) -> None:
    """Draw the controls and the charts."""
    run = diagnosis.run
    view = controls.view_of(key, run)
    timeline, drawings = _remembered(key, diagnosis, view)
    if timeline is not None:
        st.vega_lite_chart(timeline.spec, key=f"chart-findings-{key}", alt=timeline.alt)
    stack(f"{key}-curves", key, run, view, drawings)


def _remembered(key: str, diagnosis: Diagnosis, view: View) -> tuple[Drawing | None, dict[str, Drawing | None]]:
    """Draw, or take what was drawn last for the same run and view: a million steps take half a second to thin out."""
    last: dict[str, Any] = st.session_state.setdefault("drawn", {})
    known = last.get(key)
    if known is None or known[0] is not diagnosis or known[1] != view:
        last[key] = (diagnosis, view, _drawings(diagnosis, view))
    found: tuple[Drawing | None, dict[str, Drawing | None]] = last[key][2]
    return found


def _drawings(diagnosis: Diagnosis, view: View) -> tuple[Drawing | None, dict[str, Drawing | None]]:
    run, findings = diagnosis.run, diagnosis.findings
    best = diagnosis.best and (diagnosis.best.metric, diagnosis.best.step, diagnosis.best.value)
    return charts.timeline_chart(run, findings, view), {
        "loss": charts.loss_chart(run, findings, view, best or None),
        "gradient norm": charts.gradient_chart(run, findings, view, foot="lr" not in run),
        "learning rate": charts.lr_chart(run, findings, view),
    }


def stack(place: str, key: str, run: Run, view: View, drawings: dict[str, Drawing | None]) -> None:
    """Draw charts one above the other; dragging over one of them zooms all charts of the run. `place` keeps their keys apart."""
    for name, drawing in drawings.items():
        if drawing is not None:
            _draw(place, key, name, run, view, drawing)
    notes = [f"{name} {drawing.note}" for name, drawing in drawings.items() if drawing is not None and drawing.note]
    thinned = f"Shown: {'; '.join(notes)}; every extreme and every flagged point is kept. " if notes else ""
    st.caption(f"{thinned}Drag over a chart to zoom.")


def _draw(place: str, key: str, name: str, run: Run, view: View, drawing: Drawing) -> None:
    # The range is part of the identity, so that a new range starts without the old selection.
    identity = f"chart-{name}-{place}-{view.steps}-{view.axis}"
    event = st.vega_lite_chart(drawing.spec, key=identity, alt=drawing.alt, on_select="rerun", selection_mode="zoom")
    if zoom.on_drag(key, run, view.axis, dict(event.selection.get("zoom", {}))):
        st.rerun()
