"""Text written by a model."""

import numpy as np
import pytest

from trainers.sampling import draw

LOGITS = np.array([0.0, 3.0, 2.0, -1.0])


def draws(temperature, top_k=0):
    rng = np.random.default_rng(0)
    return {draw(LOGITS, temperature, top_k, rng) for _ in range(300)}


@pytest.mark.parametrize(
    ("settings", "drawn"),
    [
        ({"temperature": 0.0}, {1}),
        ({"top_k": 2, "temperature": 1.0}, {1, 2}),
        ({"top_k": 0, "temperature": 5.0}, {0, 1, 2, 3}),
        ({"top_k": 99, "temperature": 5.0}, {0, 1, 2, 3}),
    ],
)
def test_temperature_and_top_k(settings, drawn):
    assert draws(**settings) == drawn


def test_a_broken_model_still_writes():
    assert 0 <= draw(np.full(4, np.nan), 0.8, 50, np.random.default_rng(0)) < 4
