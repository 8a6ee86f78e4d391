"""The embedding's gradient that jumps before the loss is told; one that jumps with it or by itself is not."""

import numpy as np
import pytest

from lmdiag.rules.gradients.embedding_leads_spikes import check
from tests.rules.curves import falling, fires, healthy, run

SPIKES = [150, 260, 333, 470]


def made(jump_rows, n: int = 600, seed: int = 0):
    rng = np.random.default_rng(seed)
    loss = falling(n, noise=0.02, seed=seed)
    loss[SPIKES] *= 1.5
    norms = {f"layers__h.{k}__grad_norm": np.exp(rng.normal(0, 0.1, n)) for k in range(4)}
    embedding = np.exp(rng.normal(0, 0.1, n))
    embedding[list(jump_rows)] *= 6
    return run(loss=loss, layers__wte__grad_norm=embedding, **norms)


def test_jumps_before_the_spikes():
    (found,) = fires(check, made([row - 3 for row in SPIKES]))
    assert found.evidence["led"] == 4
    assert "wte" in found.advice[0]


@pytest.mark.parametrize("rows", [SPIKES, [row + 2 for row in SPIKES], [], range(60, 600, 15)])
def test_silent_on_jumps_at_the_spike_after_it_or_everywhere(rows):
    assert fires(check, made(rows)) == []


def test_silent_without_an_embedding():
    assert fires(check, run(loss=healthy(200)["loss"], layers__a__grad_norm=np.ones(200))) == []
