"""A small decoder-only transformer (GPT): pre-norm blocks, rotary positions, tied embeddings, Muon and AdamW.

Read `Transformer.forward` first, then `Block`, then `Attention`; the rest is set-up. Vaswani et al. 2017 describe the
attention and the sinusoidal positions, Su et al. 2021 the rotary ones, Radford et al. 2019 (GPT-2) the pre-norm blocks and the
initialisation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from trainers import loop
from trainers.faults import Hooks
from trainers.settings import Settings as LoopSettings
from trainers.settings import setting


@dataclass
class Settings(LoopSettings):
    """The settings of the transformer beside those of the loop."""

    steps: int = setting(1500, "optimizer updates", least=1)
    batch_size: int = setting(8, "sequences per optimizer update, all devices together", least=1)
    context: int = setting(128, "tokens per sequence", least=1)
    eval_every: int = setting(100, "steps between evaluations", least=1)
    lr: float = setting(8e-3, "peak learning rate")
    warmup_steps: int = setting(50, "steps of linear warm-up")
    n_layer: int = setting(4, "blocks", least=1)
    n_head: int = setting(4, "attention heads; divides the width", least=1)
    d_model: int = setting(96, "width of the residual stream", least=1)
    positions: str = setting("rotary", "how the model knows where a token stands", ("learned", "sinusoidal", "rotary"))
    # none: with these defaults each character is seen 1.7 times, too seldom to be known by heart
    dropout: float = setting(0.0, "share of activations dropped in training")
    optimizer: str = setting(
        "muon", "Muon for the matrices of the blocks and AdamW for the rest, or AdamW for all", ("muon", "adamw")
    )
    recompute: bool = setting(
        False, "forget the activations of blocks and compute them again on the way back: a third more time, less memory"
    )


class Attention(nn.Module):
    """Causal self-attention: each position looks at itself and those before it."""

    waves: torch.Tensor

    def __init__(self, s: Settings) -> None:
        super().__init__()
        self.n_head, self.dropout = s.n_head, s.dropout
        self.qkv = nn.Linear(s.d_model, 3 * s.d_model)  # queries, keys and values of all heads in one product
        self.out = nn.Linear(s.d_model, s.d_model)  # heads lie side by side: here they are mixed
        self.rotary = s.positions == "rotary"
        if self.rotary:
            # plain sines and cosines again, without the factor that makes their variance 1: what is turned must keep its length
            waves = sinusoids(s.context, s.d_model // s.n_head) / math.sqrt(2)
            self.register_buffer("waves", waves, persistent=False)  # in no checkpoint: it follows from the settings

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, time, width = x.shape
        # Cut along the heads, so that on the way back the three gradients are laid side by side once, as `qkv` wants them.
        heads = self.qkv(x).view(batch, time, 3 * self.n_head, -1)
        if self.rotary:  # values are not turned: positions say whom to look at, not what is seen there
            turned, values = heads.split((2 * self.n_head, self.n_head), 2)
            q, k = rotated(turned, self.waves[:time, None]).chunk(2, 2)
        else:
            q, k, values = heads.chunk(3, 2)
        # heads before time: to the product below each head is a batch entry of its own
        q, k, v = (part.transpose(1, 2) for part in (q, k, values))
        dropout = self.dropout if self.training else 0.0  # nn.Dropout is told when training stops, a function is not
        # Scaled: products are divided by the root of a head's width. Unscaled they grow with it, softmax takes one token for
        # certain, and no gradient passes.
        # is_causal instead of a mask: nothing of size time x time need be stored, nor half of it be computed
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
        # first tokens tell each other something, then each thinks about it alone, in four times the width
        x = x + self.drop(self.attention(self.norm1(x)))
        # gelu, because two layers with nothing between are one matrix; unlike relu it lets some gradient through below 0
        return x + self.drop(self.shrink(functional.gelu(self.grow(self.norm2(x)))))


class Transformer(nn.Module):
    """Token and position embeddings, blocks, a last norm, and logits through the transposed embedding."""

    def __init__(self, s: Settings, vocab_size: int) -> None:
        super().__init__()
        if s.d_model % s.n_head:
            raise ValueError(f"--n-head {s.n_head} does not divide --d-model {s.d_model}")
        if s.positions == "rotary" and s.d_model // s.n_head % 2:
            raise ValueError(f"--positions rotary needs an even width of each head, not {s.d_model // s.n_head}")
        self.embedding = nn.Embedding(vocab_size, s.d_model)
        if s.positions == "learned":
            # as large as the tokens that they are added to: neither must drown the other
            self.positions = nn.Parameter(torch.randn(s.context, s.d_model) * spread(s))
        elif s.positions == "sinusoidal":
            self.register_buffer("positions", sinusoids(s.context, s.d_model) * spread(s))
        self.drop = nn.Dropout(s.dropout)
        blocks = [Block(s) for _ in range(s.n_layer)]
        self.blocks = nn.ModuleList(blocks)
        # every block adds to the stream and none shrinks it: here it gets one size again, which the logits follow
        self.norm = nn.LayerNorm(s.d_model)
        self.recompute = s.recompute
        self.apply(lambda module: initialise(module, spread(s)))
        for block in blocks:  # 2 n_layer branches are added to the stream: keep its variance that of one
            for last in (block.attention.out, block.shrink):
                nn.init.normal_(last.weight, std=spread(s) / math.sqrt(2 * s.n_layer))

    def forward(self, ids: torch.Tensor, state: None = None) -> tuple[torch.Tensor, None]:
        x = self.embedding(ids)
        if hasattr(self, "positions"):
            x = x + self.positions[: ids.shape[1]]
        x = self.drop(x)
        for block in self.blocks:
            # Chen et al. 2016: only what enters a block is kept, so that memory grows with depth and not with all in between
            x = checkpoint(block, x, use_reentrant=False) if self.recompute and self.training else block(x)
        # One matrix for both ends (Press and Wolf 2017): tokens that mean the same should be read and written alike, and of a small
        # model it would else be the largest part. No state is carried between windows. No bias: that of the
        # norm before it goes through the matrix, and serves instead.
        return functional.linear(self.norm(x), self.embedding.weight), None


def rotated(x: torch.Tensor, waves: torch.Tensor) -> torch.Tensor:
    """Turn each pair of numbers by an angle that grows with the position: products of two then know their distance only."""
    sin, cos = waves[..., 0::2], waves[..., 1::2]
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1).type_as(x)


def spread(s: Settings) -> float:
    """Return the standard deviation of the first weights: GPT-2's 0.02 at its width of 768, more for narrower models."""
    return 0.02 * math.sqrt(768 / s.d_model)


def initialise(module: nn.Module, std: float) -> None:
    """Small normal weights: the first logits are near zero, so that the first loss is near ln(vocabulary)."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=std)
    if isinstance(module, nn.Linear):  # a bias has no symmetry to break, and chance would only add noise
        nn.init.zeros_(module.bias)


def sinusoids(length: int, width: int, longest: float = 10000) -> torch.Tensor:
    """Return fixed positions [length, width]: sines and cosines of wavelengths from 2 pi to `longest` * 2 pi."""
    angle = torch.arange(length)[:, None] / longest ** (torch.arange(0, width, 2) / width)
    return torch.stack([angle.sin(), angle.cos()], 2).flatten(1)[:, :width] * math.sqrt(2)  # of variance 1


def optimizer(s: Settings, model: nn.Module) -> torch.optim.Optimizer:
    """AdamW that decays matrices only: pulling norms and biases towards zero would undo what they are for.

    With Muon the matrices of the blocks are moved by orthogonal updates, which treat all their directions alike (Jordan et al. 2024);
    scaled as Liu et al. 2025 ("Muon is scalable for LLM training") do, so that the learning rate is that of AdamW.
    """
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    # not the embedding, of which a token picks one row: Jordan et al. 2024 leave it to AdamW, as biases and norms
    hidden = [p for name, p in trained.items() if "blocks." in name and p.dim() == 2] if s.optimizer == "muon" else []
    others = [p for p in trained.values() if not any(p is matrix for matrix in hidden)]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in others if p.dim() >= 2], "weight_decay": s.weight_decay},
        {"params": [p for p in others if p.dim() < 2], "weight_decay": 0.0},
    ]
    # 0.95, not 0.999: the mean square forgets in 20 steps, so that one rare large gradient does not slow a weight for a thousand
    fused = all(p.device.type in ("cpu", "cuda", "mps") for p in others)  # one kernel for all, where it exists
    adam = torch.optim.AdamW([g for g in groups if g["params"]], lr=s.lr, betas=(0.9, 0.95), fused=fused or None)
    if s.optimizer != "muon":
        return adam
    if not hasattr(torch.optim, "Muon"):
        raise ValueError("--optimizer muon needs PyTorch 2.9 or newer")
    return Both(adam, torch.optim.Muon(hidden, lr=s.lr, weight_decay=s.weight_decay, adjust_lr_fn="match_rms_adamw"))


class Both(torch.optim.Optimizer):
    """Two optimizers that each move parameters of their own, used as one."""

    def __init__(self, *parts: torch.optim.Optimizer) -> None:
        super().__init__([group for part in parts for group in part.param_groups], {})
        self.parts = parts
        self._share_groups()

    def _share_groups(self) -> None:
        self.param_groups = [group for part in self.parts for group in part.param_groups]  # a new rate is one for both

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for part in self.parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for part, state in zip(self.parts, state_dict["parts"]):
            part.load_state_dict(state)
        self._share_groups()


PARTS = loop.Parts("transformer", Transformer, optimizer)


def train(settings: Settings, hooks: Hooks) -> None:
    """Train a transformer as the settings say."""
    loop.train(PARTS, settings, hooks)
