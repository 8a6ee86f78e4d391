"""Runs that charts are drawn of, and what is asked of every drawing."""

import csv
import io
import json

import altair
import numpy as np
import pytest

from lmdiag.charts import Drawing
from lmdiag.finding import Finding, Severity
from lmdiag.run import Run, Series


@pytest.fixture
def run() -> Run:
    """Two thousand steps with a spike, a gap of NaN, evaluations, gradient norms and a schedule."""
    rng = np.random.default_rng(0)
    steps = np.arange(1, 2001)
    loss = 3 + 6 * np.exp(-steps / 200) + 0.05 * rng.normal(size=2000)
    loss[1000] = 8.0
    loss[1500:1520] = np.nan
    every = steps[99::100]
    return Run(
        "a run",
        {
            "loss": Series(steps, loss),
            "grad_norm": Series(steps, np.exp(0.2 * rng.normal(size=2000))),
            "lr": Series(steps, 1e-3 * np.minimum(steps / 100, 1.0)),
            "val/loss": Series(every, 3.1 + 6 * np.exp(-every / 200)),
            "tokens": Series(steps, steps * 4096.0),
        },
        config={"grad_clip": 1.0, "model": {"vocab_size": 8000}, "bytes_per_token": 4.0},
    )


@pytest.fixture
def findings() -> list[Finding]:
    return [
        Finding(
            "The loss is NaN.", 1501, 1520, "loss", severity=Severity.ERROR, rule="non-finite-loss", family="numerics"
        ),
        Finding("The loss jumped.", 1001, 1001, "loss", severity=Severity.WARNING, rule="loss-spike", steps=(1001,)),
    ]


def checked(drawing: Drawing | None) -> dict:
    """The specification of a drawing, after Altair has held it against the schema of Vega-Lite and JSON against it."""
    assert drawing is not None
    assert drawing.alt.strip()
    altair.LayerChart.from_dict(drawing.spec, validate=True)
    assert len(json.dumps(drawing.spec, allow_nan=False)) < 500_000
    return drawing.spec


def values_of(spec: object, mark: str) -> list[dict]:
    """The inline records of every layer that draws this mark, without those of a table."""
    found: list[dict] = []
    if isinstance(spec, dict):
        if isinstance(spec.get("mark"), dict) and spec["mark"]["type"] == mark:
            values = spec["data"].get("values", [])
            found += values if isinstance(values, list) else []
        for inner in spec.values():
            found += values_of(inner, mark)
    elif isinstance(spec, list):
        for inner in spec:
            found += values_of(inner, mark)
    return found


def table_of(spec: object, name: str) -> list[dict]:
    """The rows of a table of numbers in a specification; None where it leaves a value out."""
    found: list[dict] = []
    if isinstance(spec, dict):
        data = spec.get("data")
        if isinstance(data, dict) and data.get("name") == name and isinstance(data.get("values"), str):
            rows = csv.DictReader(io.StringIO(data["values"]))
            found += [{k: float(v) if v else None for k, v in row.items()} for row in rows]
        for inner in spec.values():
            found += table_of(inner, name)
    elif isinstance(spec, list):
        for inner in spec:
            found += table_of(inner, name)
    return found
