"""Alike layers a thousand times apart are a warning; a layer that breaks out is information."""

import numpy as np
import pytest

from lmdiag.finding import Severity
from lmdiag.rules.gradients.layer_imbalance import check
from lmdiag.run import Run, Series
from tests.rules.curves import fires


def layered(n: int = 200, layers: int = 8, fall: float = 1.0, seed: int = 0, **more: np.ndarray) -> Run:
    """Blocks whose norm falls by a factor from each to the one below, beside an embedding and a head."""
    rng = np.random.default_rng(seed)
    scales = {f"h.{i}": fall ** (layers - 1 - i) for i in range(layers)} | {"embedding": 0.01, "head": 3.0}
    common = np.exp(rng.normal(0, 0.3, n))
    norms = {name: scale * common * np.exp(rng.normal(0, 0.2, n)) for name, scale in scales.items()}
    norms |= {name: norms[name] * factor for name, factor in more.items()}
    return Run("layers", {f"layers/{k}/grad_norm": Series(np.arange(1, n + 1), v) for k, v in norms.items()})


@pytest.mark.parametrize(("fall", "severity"), [(0.1, Severity.WARNING), (0.4, Severity.INFO)])
def test_gradients_that_vanish_with_depth(fall, severity):
    (found,) = fires(check, layered(fall=fall))
    assert found.severity is severity
    assert found.metric == "layers/h.0/grad_norm"
    assert "h.7" in found.message


def test_a_layer_that_breaks_out():
    factor = np.ones(200)
    factor[120:130] = 20
    (found,) = fires(check, layered(embedding=factor))
    assert (found.severity or Severity.INFO) is Severity.INFO
    assert 121 <= found.first_step <= 123
    assert found.metric == "layers/embedding/grad_norm"


def test_silent_on_rises_that_all_layers_share():
    spike = np.ones(200)
    spike[120:130] = 20
    assert fires(check, layered(**dict.fromkeys(["embedding", "head"], spike), layers=0)) == []


@pytest.mark.parametrize("n", [12, 150, 3000])
def test_silent_on_healthy_layers(n):
    for seed in range(5):
        assert fires(check, layered(n, fall=0.8, seed=seed)) == []
