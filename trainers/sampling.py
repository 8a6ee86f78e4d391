"""Let a model write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from trainers.corpus import Vocabulary
    from trainers.settings import Settings


@torch.no_grad()
def generate(model: torch.nn.Module, vocabulary: Vocabulary, settings: Settings, device: torch.device) -> str:
    """Return `settings.sample` tokens of text, begun at the end of a document; the seed makes it repeatable."""
    model.eval()
    generator = torch.Generator().manual_seed(settings.seed)
    ids = list(vocabulary.encode("\n")) or [0]
    start = len(ids)
    for _ in range(settings.sample):
        window = torch.tensor([ids[-settings.context :]], device=device)
        logits, _ = model(window, None)
        ids.append(draw(logits[0, -1].float().cpu(), settings, generator))
    return vocabulary.decode(ids[start:])


def draw(logits: torch.Tensor, settings: Any, generator: torch.Generator) -> int:
    """Draw one id from logits [vocabulary]; temperature 0 takes the likeliest."""
    if settings.temperature == 0:
        return int(logits.argmax())
    if settings.top_k:
        least = logits.topk(min(settings.top_k, len(logits))).values[-1]
        logits = logits.masked_fill(logits < least, -torch.inf)
    chances = torch.softmax(torch.nan_to_num(logits, nan=0.0) / settings.temperature, 0)
    return int(torch.multinomial(chances, 1, generator=generator))
