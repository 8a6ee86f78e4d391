"""The curves of a run, one above the other over the same x axis."""

from __future__ import annotations

import streamlit as st

from lmdiag import charts
from lmdiag.app import controls, zoom
from lmdiag.charts import Drawing, View
from lmdiag.diagnose import Diagnosis
from lmdiag.run import Run


def draw(key: str, diagnosis: Diagnosis) -> None:
    """Draw the controls and the charts."""
    run, findings = diagnosis.run, diagnosis.findings
    view = controls.view_of(key, run)
    best = diagnosis.best and (diagnosis.best.metric, diagnosis.best.step, diagnosis.best.value)
    timeline = charts.timeline_chart(run, findings, view)
    if timeline is not None:
        st.vega_lite_chart(timeline.spec, key=f"chart-findings-{key}", alt=timeline.alt)
    drawings = {
        "loss": charts.loss_chart(run, findings, view, best or None),
        "gradient norm": charts.gradient_chart(run, findings, view, foot="lr" not in run),
        "learning rate": charts.lr_chart(run, findings, view),
    }
    stack(f"{key}-curves", key, run, view, drawings)


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
