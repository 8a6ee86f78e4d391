"""What the HTML report shows of the step under the pointer: the values of a run at some steps, and a script that needs no network."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator
from importlib.resources import files
from typing import Any

import numpy as np

from lmdiag.charts import Drawing
from lmdiag.reports.phrases import number, visible
from lmdiag.run import Run

MOST_STEPS = 345  # one for two pixels of a plot
SCRIPT = files(__package__).joinpath("html_readout.js").read_text("utf-8")
SCRIPT_HASH = f"sha256-{base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()}"


def readout(run: Run, metrics: Iterable[str]) -> str:
    """Return, as JSON that may stand in a page, the last value of each metric at or before some steps of the run.

    These are spread over the steps that the log has; a value that was logged earlier, as of an evaluation, names its step.
    """
    drawn = {name: run[name] for name in dict.fromkeys(metrics) if name in run and len(run[name])}
    logged = np.unique(np.concatenate([series.steps for series in drawn.values()])) if drawn else np.zeros(0, np.int64)
    chosen = logged[np.unique(np.linspace(0, len(logged) - 1, MOST_STEPS).astype(int))] if len(logged) else logged
    between = float(np.median(np.diff(chosen))) if len(chosen) > 1 else 0.0
    shown: dict[str, list[str]] = {}
    for name, series in drawn.items():
        rows = np.searchsorted(series.steps, chosen, side="right") - 1
        shown[visible(name)] = ["" if row < 0 else _told(series, row, step, between) for row, step in zip(rows, chosen)]
    told = {"unit": run.unit, "steps": chosen.tolist(), "values": shown}
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def _told(series: Any, row: int, step: int, between: float) -> str:
    at = int(series.steps[row])
    return number(float(series.values[row])) + (f" ({at:,})" if step - at > 2 * between else "")


def ends(drawing: Drawing) -> str:
    """Return the first and the last step of a drawing as JSON, "" where its x axis counts something else."""
    found = next(_domains(drawing.spec), None)
    return json.dumps(found) if found else ""


def _domains(part: Any) -> Iterator[list[float]]:
    """Yield the domains of x in a specification."""
    if isinstance(part, list):
        for inner in part:
            yield from _domains(inner)
    elif isinstance(part, dict):
        across = (part.get("encoding") or {}).get("x") or {}
        domain = (across.get("scale") or {}).get("domain") if isinstance(across, dict) else None
        if isinstance(domain, list) and len(domain) == 2:
            yield [float(end) for end in domain]
        for name, inner in part.items():
            if name not in ("values", "datasets", "encoding"):
                yield from _domains(inner)
