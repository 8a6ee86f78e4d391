"""Text written by a model."""

import pytest
import torch

from trainers.sampling import draw
from trainers.transformer import Settings

LOGITS = torch.tensor([0.0, 3.0, 2.0, -1.0])


def draws(**settings):
    generator = torch.Generator().manual_seed(0)
    return {draw(LOGITS, Settings(**settings), generator) for _ in range(300)}


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
    assert 0 <= draw(torch.full((4,), float("nan")), Settings(), torch.Generator()) < 4
