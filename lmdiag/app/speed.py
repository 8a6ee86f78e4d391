"""Throughput, step and loading time, memory."""

from __future__ import annotations

import streamlit as st

from lmdiag import charts
from lmdiag.app import controls, curves
from lmdiag.diagnose import Diagnosis

METRICS = {
    "tokens_per_sec": "tokens/s",
    "tokens_per_sec_per_device": "tokens/s per device",
    "step_time_s": "step time (s)",
    "data_time_s": "waiting for data (s)",
    "mem_bytes": "memory (bytes)",
    "mem_reserved_bytes": "memory reserved (bytes)",
    "mfu": "model FLOPs utilisation",
    "tflops_per_device": "TFLOP/s per device",
    "loss_scale": "loss scale",
}


def draw(key: str, diagnosis: Diagnosis) -> None:
    """Draw what the log has about speed and memory, or say that it has nothing."""
    run = diagnosis.run
    names = [name for name in METRICS if name in run]
    if not names:
        st.info("The log has neither speed nor memory. Log tokens_per_sec, step_time_s, data_time_s and mem_bytes.")
        return
    view = controls.view_of(key, run, with_loss=False)
    drawings = {
        METRICS[name]: charts.series_chart(
            run,
            name,
            diagnosis.findings,
            view,
            title=METRICS[name],
            log=name == "loss_scale",
            height=120,
        )
        for name in names
    }
    curves.stack(f"{key}-speed", key, diagnosis, view, drawings)
