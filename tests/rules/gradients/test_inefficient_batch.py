"""The noise scale follows from two norms; only batches far from it are information."""

import numpy as np
import pytest

from lmdiag.finding import NotChecked, Severity
from lmdiag.rules.gradients.inefficient_batch import check
from tests.rules.curves import falling, fires, healthy, run


def measured(noise_in_batches: float, n: int = 400, parts: int = 8):
    """Norms of a true gradient of norm 1 whose noise has that many times its power in one batch."""
    rng = np.random.default_rng(0)
    scatter = np.exp(rng.normal(0, 0.02, (2, n)))
    whole, micro = np.sqrt(1 + noise_in_batches) * scatter[0], np.sqrt(1 + parts * noise_in_batches) * scatter[1]
    config = {"grad_accum": parts, "batch_tokens": 32_768}
    return run(loss=falling(n), grad_norm=whole, micro_grad_norm=micro, config=config)


def test_a_noisy_batch_is_information():
    (found,) = fires(check, measured(20))
    assert (found.severity or Severity.INFO) is Severity.INFO
    assert found.evidence["noise_scale_in_batches"] == pytest.approx(20, rel=0.2)
    assert "far below" in found.message
    assert "2 times the accumulation steps" in found.advice[0]


def test_a_wasteful_batch_is_information():
    (found,) = fires(check, measured(0.02))
    assert "far above" in found.message


@pytest.mark.parametrize("noise", [0.3, 1, 5])
def test_silent_near_the_noise_scale(noise):
    assert fires(check, measured(noise)) == []


def test_not_checked_without_micro_batches():
    assert [type(said) for said in check.look(healthy(100))] == [NotChecked]
