"""What the reader can choose about the charts, in one row above them."""

from __future__ import annotations

import streamlit as st

from lmdiag.app import zoom
from lmdiag.charts.view import View, axes_of
from lmdiag.run import Run

SMOOTHING = {"none": 0.0, "light": 0.002, "medium": 0.01, "strong": 0.04}  # half-life as a share of what is shown
LOSSES = {"loss": "Loss", "perplexity": "Perplexity", "bits_per_byte": "Bits/byte"}
SCALES = ("Log", "Full")
AXES = {"step": "Step", "tokens": "Tokens", "epoch": "Epoch", "elapsed": "Wall time", "relative": "Share of run"}
SMOOTHING_HELP = (
    "A centred mean over the raw curve, which stays visible. The half-life is 0.2%, 1% or 4% of the steps shown."
)
SCALE_HELP = "Log: a logarithmic scale. Full: outliers on the scale instead of marked at its edge."


def view_of(key: str, run: Run, with_loss: bool = True, until: float | None = None) -> View:
    """Draw the controls and return what was chosen; `until` is the step that a forecast reaches.

    How to show the loss is asked only where there is a choice.
    """
    with st.container(horizontal=True, vertical_alignment="bottom"):
        losses, axes = losses_of(run), axes_of(run)
        loss_as = "loss"
        if with_loss and len(losses) > 1:
            loss_as = st.segmented_control(
                "Curve", losses, default="loss", required=True, format_func=LOSSES.__getitem__, key=f"as-{key}"
            )
        if st.session_state.get(f"axis-{key}", axes[0]) not in axes:  # an address may name any
            del st.session_state[f"axis-{key}"]
        axis = st.selectbox("Over", axes, format_func=AXES.__getitem__, key=f"axis-{key}", width=130)
        smoothing = st.selectbox("Smoothing", list(SMOOTHING), index=1, key="smoothing", width=110, help=SMOOTHING_HELP)
        scale = st.pills("Scale", SCALES, selection_mode="multi", key="scale", help=SCALE_HELP)
    shown = _range_shown(key, run)
    length = run.last_step - run.first_step if shown is None else shown[1] - shown[0]
    return View(
        axis=axis or "step",
        steps=shown,
        half_life=SMOOTHING[smoothing] * length,
        loss_as=loss_as,
        log_y="Log" in scale,
        full_range="Full" in scale,
        dark=st.context.theme.type == "dark",
        until=until if axis in ("step", "relative") else None,
    )


def losses_of(run: Run) -> list[str]:
    """Return how the loss can be shown: perplexity needs a language model, bits per byte the bytes per token."""
    if run.objective not in ("causal-lm", "masked-lm"):
        return ["loss"]
    return ["loss", "perplexity", *(["bits_per_byte"] if run.config.get("bytes_per_token") else [])]


def _range_shown(key: str, run: Run) -> tuple[float, float] | None:
    shown = zoom.shown(key)
    if shown is not None:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption(f"Steps {shown[0]:,.0f} to {shown[1]:,.0f} of {run.last_step:,}", width="content")
            st.button(
                "Show the whole run",
                key=f"all-{key}",
                icon=":material/zoom_out_map:",
                on_click=zoom.show_all,
                args=(key,),
            )
    return shown
