"""Layers without gradient are named; frozen models under adapters are information."""

import numpy as np
import pytest

from lmdiag.finding import Severity
from lmdiag.rules.gradients.dead_layer import check
from lmdiag.run import Run, Series
from tests.rules.curves import fires


def layered(dead: int, layers: int = 6, n: int = 20, since: int = 0, level: float = 0.0) -> Run:
    rng, steps = np.random.default_rng(0), 10 * np.arange(1, n + 1)
    norms = {f"layers/h.{i}/grad_norm": np.exp(rng.normal(0, 0.2, n)) for i in range(layers)}
    for name in list(norms)[:dead]:
        norms[name][since:] = level
    return Run("layers", {name: Series(steps, values) for name, values in norms.items()})


@pytest.mark.parametrize("level", [0.0, 1e-10])
def test_a_dead_layer_is_named(level):
    (found,) = fires(check, layered(1, level=level))
    assert (found.severity, found.first_step, found.metric) == (Severity.WARNING, 10, "layers/h.0/grad_norm")
    assert found.message == "1 of 6 layers receives no gradient in any record: h.0."


def test_a_layer_that_dies_is_reported_where_it_does():
    (found,) = fires(check, layered(2, since=6))
    assert found.first_step == 70
    assert "2 of 6 layers receive no gradient in at least 70% of the records, from step 70 on" in found.message


def test_a_frozen_model_is_information():
    (found,) = fires(check, layered(4))
    assert found.severity is Severity.INFO


def test_silent_on_live_layers_small_ones_and_steps_without_any_gradient():
    assert fires(check, layered(0)) == []
    assert fires(check, layered(1, level=1e-4)) == []
    assert fires(check, layered(6)) == []
