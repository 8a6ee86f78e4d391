"""What the reader can choose about the charts, in one row above them."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from lmdiag.app import zoom
from lmdiag.charts.view import View, axes_of
from lmdiag.run import Run

SMOOTHING = {"none": 0.0, "light": 0.002, "medium": 0.01, "strong": 0.04}  # half-life as a share of what is shown
LOSSES = {"loss": "Loss", "perplexity": "Perplexity", "bits_per_byte": "Bits/byte"}
SCALES = ("Log", "Full")
AXES = {"step": "Step", "tokens": "Tokens", "epoch": "Epoch", "elapsed": "Wall time", "relative": "Share of run"}
SMOOTHING_HELP = (
    "A mean of what came before over the raw curve, which stays visible; it begins anew where a finding begins. "
    "The half-life is 0.2%, 1% or 4% of the steps shown."
)
SCALE_HELP = "Log: a logarithmic scale. Full: outliers on the scale instead of marked at its edge."


def view_of(
    key: str, run: Run, with_loss: bool = True, until: float | None = None, row: DeltaGenerator | None = None
) -> View:
    """Draw the controls, in a `row` that is there or a new one, and return what was chosen; `until` is the step that a forecast reaches.

    How to show the loss is asked only where there is a choice.
    """
    with row or st.container(horizontal=True, vertical_alignment="bottom"):
        losses, axes = losses_of(run), axes_of(run)
        loss_as = "loss"
        if with_loss and len(losses) > 1:
            loss_as = st.selectbox("Curve", losses, format_func=LOSSES.__getitem__, key=f"as-{key}", width=115)
        if st.session_state.get(f"axis-{key}", axes[0]) not in axes:  # an address may name any
            del st.session_state[f"axis-{key}"]
        axis = st.selectbox("Over", axes, format_func=AXES.__getitem__, key=f"axis-{key}", width=110)
        smoothing = st.selectbox(
            "Smoothing",
            list(SMOOTHING),
            index=1,
            key="smoothing",
            width=105,
            help=SMOOTHING_HELP,
        )
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
    """Draw the range of steps, which can be typed, and the ways out of it; return it."""
    shown = zoom.shown(key)
    name = f"range-{key}-{zoom.turn()}"
    st.text_input(
        f"{run.unit.capitalize()}s",
        f"{shown[0]:,.0f} – {shown[1]:,.0f}" if shown else "",
        key=name,
        width=115,
        placeholder=f"{run.first_step:,} – {run.last_step:,}",
        on_change=lambda: zoom.on_typed(key, run, st.session_state[name]),
    )
    if zoom.can_go_back(key):
        st.button("Back", key=f"back-{key}", icon=":material/undo:", on_click=zoom.step_back, args=(key,))
    if shown is not None or zoom.mark_of(key):
        st.button(
            "Show the whole run", key=f"all-{key}", icon=":material/zoom_out_map:", on_click=zoom.show_all, args=(key,)
        )
    return shown
