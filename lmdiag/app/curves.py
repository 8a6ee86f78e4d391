"""The curves of a run, one above the other over the same x axis."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import streamlit as st

from lmdiag import charts
from lmdiag.app import controls, downloads, zoom
from lmdiag.charts import Drawing, View
from lmdiag.diagnose import Diagnosis
from lmdiag.forecast import Forecast

Drawn = TypeVar("Drawn")
TIMELINE = "findings"
MOST_ROWS = 3  # of findings above the curves: the cards beside them have all
MOST_OWN = 6  # findings whose own metrics are drawn beside the usual ones


def draw(key: str, diagnosis: Diagnosis) -> None:
    """Draw the controls and the charts."""
    run = diagnosis.run
    expected = forecast_of(diagnosis)
    view = controls.view_of(key, run, until=expected.step if expected else None)
    seen = zoom.marked(key, diagnosis.findings)
    if seen is not None:
        view = replace(view, marked=seen)
    more = tuple(st.session_state.get(f"more-{key}", ()))
    drawings = remembered(
        f"{key}-curves", diagnosis, (view, more), lambda: _drawings(diagnosis, view, more, seen.metric if seen else "")
    )
    stack(f"{key}-curves", key, diagnosis, view, drawings)
    shown = {metric for drawing in drawings.values() if drawing for metric in drawing.metrics} - set(more)
    others = [name for name in run.series if name not in shown and len(run[name])]
    if others:
        st.multiselect("More metrics", others, key=f"more-{key}", placeholder="Search the other metrics of this log")


def remembered(place: str, diagnosis: Diagnosis, view: object, make: Callable[[], Drawn]) -> Drawn:
    """Return what `make` draws, or what it drew last in this place for the same run and view."""
    last: dict[str, Any] = st.session_state.setdefault("drawn", {})
    known = last.get(place)
    if known is None or known[0] is not diagnosis or known[1] != view:
        last[place] = (diagnosis, view, make())
    found: Drawn = last[place][2]
    return found


def _drawings(diagnosis: Diagnosis, view: View, more: Sequence[str], looked_at: str) -> dict[str, Drawing | None]:
    """Return the charts by name: the findings, then the metric that the reader looks at, the loss, and the others."""
    run, findings = diagnosis.run, diagnosis.findings
    best = diagnosis.best and (diagnosis.best.metric, diagnosis.best.step, diagnosis.best.value)
    usual = {
        **charts.main_charts(run, findings, view, best or None, forecast_of(diagnosis)),
        "gradient norm": charts.gradient_chart(run, findings, view),
        "learning rate": charts.lr_chart(run, findings, view),
    }
    shown = {metric for drawing in usual.values() if drawing for metric in drawing.metrics}
    accused = [f.metric for f in sorted(findings, key=lambda f: not f.alarms) if f.metric in run.series]
    wanted = dict.fromkeys(metric for metric in (*accused[:MOST_OWN], *more) if metric not in shown)
    own = {metric: charts.series_chart(run, metric, findings, view) for metric in wanted}
    first, *rest = usual.items()
    timeline = charts.timeline_chart(run, findings, view, MOST_ROWS)
    drawn = dict([first, *own.items(), *rest])
    front = [name for name, drawing in drawn.items() if drawing and looked_at in drawing.metrics]
    return {TIMELINE: timeline, **{name: drawn[name] for name in front}, **drawn}


def forecast_of(diagnosis: Diagnosis) -> Forecast | None:
    """Return the forecast of the final loss, None for a run that is over or cannot be forecast."""
    planned = diagnosis.run.config.get("max_steps")
    if not isinstance(planned, int | float) or planned <= diagnosis.run.last_step:
        return None
    return diagnosis.forecast


def stack(place: str, key: str, diagnosis: Diagnosis, view: View, drawings: dict[str, Drawing | None]) -> None:
    """Draw charts one above the other with one line at the pointer. `place` makes their keys unique.

    A drag zooms all of the run, a double click goes back, a click on a finding zooms to it.
    """
    run, drawn = diagnosis.run, {name: drawing for name, drawing in drawings.items() if drawing is not None}
    whole = remembered(
        f"{place}-stack",
        diagnosis,
        (view, *map(id, drawn.values())),
        lambda: charts.stack_chart(run, list(drawn.values()), view),
    )
    if whole is None:
        return
    modes = ["zoom", "back", *(["finding"] if TIMELINE in drawn else [])]
    identity = f"chart-{place}-{zoom.turn()}-{view.axis}"
    event = st.vega_lite_chart(whole.spec, key=identity, alt=whole.alt, on_select="rerun", selection_mode=modes)
    if _heard(key, diagnosis, view, event.selection):
        st.rerun()
    notes = [f"{name} {drawing.note}" for name, drawing in drawn.items() if drawing.note and name != TIMELINE]
    thinned = f"Shown: {'; '.join(notes)}; every extreme and every flagged point is kept. " if notes else ""
    hidden = f"{drawn[TIMELINE].note}. " if TIMELINE in drawn and drawn[TIMELINE].note else ""
    st.caption(f"{hidden}{thinned}Drag over the charts to zoom, double-click to go back.")
    downloads.behind(
        place, {run.name: run}, view, {name: drawing for name, drawing in drawn.items() if name != TIMELINE}
    )


def _heard(key: str, diagnosis: Diagnosis, view: View, said: Mapping[str, Any]) -> bool:
    """Do what the reader asked of the charts, and tell whether that changed what is shown."""
    if said.get("finding"):
        zoom.on_finding(key, diagnosis.run, diagnosis.findings[int(said["finding"][0]["rank"])])
        return True
    if said.get("back"):
        return zoom.back(key)
    return zoom.on_drag(key, diagnosis.run, view.axis, dict(said.get("zoom", {})))
