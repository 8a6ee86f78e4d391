"""The heat map of layers and the distribution of norms."""

import altair
import numpy as np
import pytest

from lmdiag import charts
from lmdiag.charts.view import View
from lmdiag.run import Run, Series
from tests.charts.conftest import values_of


def run_with(layers: int, steps: int = 400) -> Run:
    at = np.arange(1, steps + 1)
    norms = {f"layers/block.{i}/grad_norm": Series(at, np.full(steps, 0.5)) for i in range(layers)}
    return Run("a", norms)


def cells(spec: dict) -> list[dict]:
    inner = spec["layer"][0].get("layer", spec["layer"])
    return inner[0]["data"]["values"]


def test_a_spike_of_one_step_in_one_layer_is_in_its_cell():
    run = run_with(3)
    run["layers/block.1/grad_norm"].values[200] = 50.0
    spec = charts.layer_heatmap(run, "grad_norm", View()).spec
    altair.LayerChart.from_dict(spec, validate=True)
    (hot,) = [c for c in cells(spec) if c["power"] > 1]
    assert (hot["layer"], hot["value"], hot["power"]) == ("block.1", 50.0, pytest.approx(2.0))


def test_values_that_are_no_numbers_are_marked_in_the_heat_map():
    run = run_with(2)
    run["layers/block.0/grad_norm"].values[100:103] = np.nan
    spec = charts.layer_heatmap(run, "grad_norm", View()).spec
    assert sum(c["lost"] for c in values_of(spec, "point") if "lost" in c) == 3


def test_more_layers_than_fit_are_counted():
    drawing = charts.layer_heatmap(run_with(60), "grad_norm", View())
    assert drawing.note == "12 more layers are not shown"


def test_a_log_without_layers_draws_nothing():
    assert charts.layer_heatmap(Run("a", {}), "grad_norm", View()) is None


def test_every_positive_value_is_in_the_distribution():
    values = np.concatenate([np.logspace(-3, 2, 100), [0.0, np.nan, np.inf]])
    drawing = charts.distribution_chart(Series(np.arange(103), values), "norm", (charts.Guide(1.0, "clipped at 1"),))
    altair.LayerChart.from_dict(drawing.spec, validate=True)
    assert sum(bar["count"] for bar in cells(drawing.spec)) == 100


def test_equal_values_have_a_distribution_too():
    assert charts.distribution_chart(Series(np.arange(5), np.ones(5)), "norm") is not None
