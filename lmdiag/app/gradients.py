"""The gradients of a run: norm and clipping, layers over time, updates against weights, parameter norms."""

from __future__ import annotations

import numpy as np
import streamlit as st

from lmdiag import charts
from lmdiag.app import controls, curves
from lmdiag.charts import Guide
from lmdiag.diagnose import Diagnosis
from lmdiag.run import Run

TALL = 120  # pixels, where there is room for them
RATIO_GUIDE = Guide(1e-3, "usual: about 0.001")
LAYER_METRICS = {
    "grad_norm": "Gradient norm by layer",
    "update_ratio": "Update over weight by layer",
    "param_norm": "Parameter norm by layer",
}


def draw(key: str, diagnosis: Diagnosis) -> None:
    """Draw everything the log has about gradients, or say that it has nothing."""
    run, findings = diagnosis.run, diagnosis.findings
    by_layer = [metric for metric in LAYER_METRICS if charts.layers_of(run, metric)]
    if not by_layer and not any(name in run for name in ("grad_norm", "update_ratio", "param_norm")):
        st.info("The log has no gradient statistics. Log at least the gradient norm before clipping, at every step.")
        return
    view = controls.view_of(key, run, with_loss=False)
    drawings = {
        "gradient norm": charts.gradient_chart(run, findings, view),
        "update ratio": charts.series_chart(
            run,
            "update_ratio",
            findings,
            view,
            title="update over weight",
            log=True,
            guides=[RATIO_GUIDE],
            guides_always=True,
            height=TALL,
        ),
        "parameter norm": charts.series_chart(run, "param_norm", findings, view, title="parameter norm", height=TALL),
    }
    maps = curves.remembered(
        f"{key}-layers",
        diagnosis,
        view,
        lambda: {LAYER_METRICS[name]: charts.layer_heatmap(run, name, view) for name in by_layer},
    )
    curves.stack(f"{key}-gradients", key, diagnosis, view, {**drawings, **maps})
    if "grad_norm" in run:
        st.subheader("How large the gradients were", anchor=False)
        st.markdown(clipped(run))
        _show(charts.distribution_chart(view.cut(run["grad_norm"]), "gradient norm", _clip_guide(run)), f"{key}-norms")


def clipped(run: Run) -> str:
    """Say which share of the records was clipped, if the log has the limit.

    >>> from lmdiag.run import Series
    >>> norms = Series(np.arange(4), np.array([0.5, 2.0, 0.1, 0.2]))
    >>> clipped(Run("a", {"grad_norm": norms}, config={"grad_clip": 1.0}))
    'Clipped at 1: 25% of the records.'
    """
    guides = _clip_guide(run)
    if not guides:
        return "The log does not say at which norm gradients are clipped."
    share = float(np.mean(run["grad_norm"].finite.values > guides[0].value)) if len(run["grad_norm"].finite) else 0.0
    return f"Clipped at {guides[0].value:g}: {share:.0%} of the records."


def _clip_guide(run: Run) -> tuple[Guide, ...]:
    limit = run.config.get("grad_clip")
    return (Guide(float(limit), f"clipped at {limit:g}"),) if isinstance(limit, int | float) and limit > 0 else ()


def _show(drawing: charts.Drawing | None, key: str) -> None:
    if drawing is not None:
        st.vega_lite_chart(drawing.spec, key=f"chart-{key}", alt=drawing.alt)
        if drawing.note:
            st.caption(drawing.note)
