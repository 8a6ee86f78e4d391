"""Let a model write."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

    from trainers.vocabularies import Vocabulary

After = Callable[
    [list[int]], np.ndarray
]  # further token ids -> the logits of the token after them, float64[vocabulary]


def write(
    after: After, vocabulary: Vocabulary, tokens: int, temperature: float, top_k: int, seed: int, prompt: str = ""
) -> str:
    """Return so many tokens of text that follow the prompt, or begin a document; the seed makes it repeatable.

    A token that stands for all that the vocabulary lacks is never written.
    """
    rng = np.random.default_rng(seed)
    # without a prompt: what follows the end of a document is the beginning of one
    ids = (list(vocabulary.encode(prompt)) if prompt else []) or [vocabulary.end]
    start, further = len(ids), ids
    for _ in range(tokens):
        logits = after(further)
        if vocabulary.unknown is not None:
            logits[vocabulary.unknown] = -np.inf
        further = [draw(logits, temperature, top_k, rng)]
        ids = ids + further
    return vocabulary.decode(ids[start:])


def draw(logits: np.ndarray, temperature: float, top_k: int, rng: np.random.Generator) -> int:
    """Draw one id among the `top_k` likeliest (0: all); temperature 0 takes the likeliest.

    >>> draw(np.array([0.0, 3.0, 2.0]), 0.0, 0, np.random.default_rng(0))
    1
    """
    logits = np.nan_to_num(logits, nan=0.0, neginf=-np.inf)
    if temperature == 0:
        return int(logits.argmax())
    if 0 < top_k < len(logits):
        least = np.partition(logits, -top_k)[-top_k]
        logits = np.where(logits < least, -np.inf, logits)
    # less the largest: e to the power of 800 is infinite, and the ratios of the chances stay the same
    chances = np.exp((logits - logits.max()) / temperature)
    return int(rng.choice(len(logits), p=chances / chances.sum()))


class Network:
    """A PyTorch model that is told further tokens: a recurrent one keeps its state, a transformer sees its last window again."""

    def __init__(self, model: torch.nn.Module, context: int, device: torch.device) -> None:
        self._model, self._context, self._device = model.eval(), context, device
        self._ids: list[int] = []
        self._state: Any = None

    def __call__(self, further: list[int]) -> np.ndarray:
        """Return the logits of the token after these, which follow those told before."""
        import torch

        self._ids = [*self._ids, *further][-self._context :]
        seen = self._ids if self._state is None else further  # what a state was told, it holds
        with torch.no_grad():
            logits, self._state = self._model(torch.tensor([seen], device=self._device), self._state)
        return np.array(logits[0, -1].float().cpu().numpy(), np.float64)
