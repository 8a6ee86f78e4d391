"""Polyaxon's traceml writes the inputs and the state of a run when that ends: a killed one keeps its metrics alone."""

SETTINGS_LOST = ("killed",)
