"""A small decoder-only transformer (GPT): pre-norm blocks, tied embeddings, AdamW.

Read `Transformer.forward` first, then `Block`, then `Attention`; the rest is set-up. Vaswani et al. 2017 describe the
attention and the sinusoidal positions, Radford et al. 2019 (GPT-2) the pre-norm blocks and the initialisation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from trainers import loop
from trainers.faults import Hooks
from trainers.settings import Settings as LoopSettings
from trainers.settings import setting


@dataclass
class Settings(LoopSettings):
    """The settings of the transformer beside those of the loop."""

    n_layer: int = setting(2, "blocks", least=1)
    n_head: int = setting(4, "attention heads; divides the width", least=1)
    d_model: int = setting(64, "width of the residual stream", least=1)
    positions: str = setting("learned", "how the model knows where a token stands", ("learned", "sinusoidal"))
    dropout: float = setting(0.0, "share of activations dropped in training")


class Attention(nn.Module):
    """Causal self-attention: each position looks at itself and those before it."""

    def __init__(self, s: Settings) -> None:
        super().__init__()
        self.n_head, self.dropout = s.n_head, s.dropout
        self.qkv = nn.Linear(s.d_model, 3 * s.d_model)  # queries, keys and values of all heads in one product
        self.out = nn.Linear(s.d_model, s.d_model)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, time, width = x.shape
        q, k, v = self.qkv(x).view(batch, time, 3, self.n_head, -1).permute(2, 0, 3, 1, 4)
        dropout = self.dropout if self.training else 0.0
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=dropout)
        return self.out(mixed.transpose(1, 2).reshape(batch, time, width))


class Block(nn.Module):
    """Attention, then a two-layer network, each on a normalised copy of the stream and added to it.

    Normalising before, not after, keeps a path on which gradients pass unchanged: deep stacks train without tricks.
    """

    def __init__(self, s: Settings) -> None:
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(s.d_model), Attention(s)
        self.norm2 = nn.LayerNorm(s.d_model)
        self.grow, self.shrink = nn.Linear(s.d_model, 4 * s.d_model), nn.Linear(4 * s.d_model, s.d_model)
        self.drop = nn.Dropout(s.dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.drop(self.attention(self.norm1(x)))
        return x + self.drop(self.shrink(functional.gelu(self.grow(self.norm2(x)))))


class Transformer(nn.Module):
    """Token and position embeddings, blocks, a last norm, and logits through the transposed embedding."""

    def __init__(self, s: Settings, vocab_size: int) -> None:
        super().__init__()
        if s.d_model % s.n_head:
            raise ValueError(f"--n-head {s.n_head} does not divide --d-model {s.d_model}")
        self.embedding = nn.Embedding(vocab_size, s.d_model)
        if s.positions == "learned":
            self.positions = nn.Parameter(torch.randn(s.context, s.d_model) * spread(s))
        else:
            self.register_buffer("positions", sinusoids(s.context, s.d_model) * spread(s))
        self.drop = nn.Dropout(s.dropout)
        blocks = [Block(s) for _ in range(s.n_layer)]
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(s.d_model)
        self.apply(lambda module: initialise(module, spread(s)))
        for block in blocks:  # 2 n_layer branches are added to the stream: keep its variance that of one
            for last in (block.attention.out, block.shrink):
                nn.init.normal_(last.weight, std=spread(s) / math.sqrt(2 * s.n_layer))

    def forward(self, ids: torch.Tensor, state: None = None) -> tuple[torch.Tensor, None]:
        x = self.drop(self.embedding(ids) + self.positions[: ids.shape[1]])
        for block in self.blocks:
            x = block(x)
        return functional.linear(self.norm(x), self.embedding.weight), None  # no state is carried between windows


def spread(s: Settings) -> float:
    """Return the standard deviation of the first weights: GPT-2's 0.02 at its width of 768, more for narrower models."""
    return 0.02 * math.sqrt(768 / s.d_model)


def initialise(module: nn.Module, std: float) -> None:
    """Small normal weights: the first logits are near zero, so that the first loss is near ln(vocabulary)."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=std)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)


def sinusoids(length: int, width: int, longest: float = 10000) -> torch.Tensor:
    """Return fixed positions [length, width]: sines and cosines of wavelengths from 2 pi to `longest` * 2 pi."""
    angle = torch.arange(length)[:, None] / longest ** (torch.arange(0, width, 2) / width)
    return torch.stack([angle.sin(), angle.cos()], 2).flatten(1)[:, :width] * math.sqrt(2)  # of variance 1


def optimizer(s: Settings, model: nn.Module) -> torch.optim.Optimizer:
    """AdamW that decays matrices only: pulling norms and biases towards zero would undo what they are for."""
    trained = [p for p in model.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in trained if p.dim() >= 2], "weight_decay": s.weight_decay},
        {"params": [p for p in trained if p.dim() < 2], "weight_decay": 0.0},
    ]
    fused = all(p.device.type in ("cpu", "cuda", "mps") for p in trained)  # one kernel for all, where it exists
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=s.lr, betas=(0.9, 0.95), fused=fused or None)


PARTS = loop.Parts("transformer", Transformer, optimizer)


def train(settings: Settings, hooks: Hooks) -> None:
    """Train a transformer as the settings say."""
    loop.train(PARTS, settings, hooks)
