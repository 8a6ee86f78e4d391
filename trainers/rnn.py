"""The simplest recurrent language model: embedding, Elman network, linear layer, plain SGD.

The hidden state is carried from batch to batch, gradients are not (truncated backpropagation through time). Elman 1990
is the network, Mikolov et al. 2010 the language model. Without clipping its gradients explode: try `--grad-clip 0`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from trainers import batches, loop
from trainers.faults import Hooks
from trainers.settings import Settings as LoopSettings
from trainers.settings import setting


@dataclass
class Settings(LoopSettings):
    """The settings of the recurrent network beside those of the loop; SGD wants a far larger learning rate."""

    steps: int = setting(5000, "optimizer updates", least=1)
    batch_size: int = setting(16, "sequences per optimizer update, all devices together", least=1)
    eval_every: int = setting(250, "steps between evaluations", least=1)
    lr: float = setting(1.0, "peak learning rate")
    # none: each character is seen a few times only, and a network this small is far from knowing the text by heart
    weight_decay: float = setting(0.0, "decay of all weights")
    n_layer: int = setting(1, "recurrent layers", least=1)
    d_model: int = setting(256, "width of embedding and hidden state", least=1)
    momentum: float = setting(0.0, "share of the last update that is kept")


class RNN(nn.Module):
    """Elman network: h_t = tanh(W x_t + U h_{t-1} + b), stacked; logits from the last layer's state."""

    def __init__(self, s: Settings, vocab_size: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, s.d_model)
        # tanh, not relu: its states stay between -1 and 1, and a product of a hundred steps cannot run away forwards
        self.rnn = nn.RNN(s.d_model, s.d_model, s.n_layer, nonlinearity="tanh", batch_first=True)
        self.out = nn.Linear(s.d_model, vocab_size)
        nn.init.uniform_(self.embedding.weight, -1.0, 1.0)  # as large as the states it is added to
        nn.init.zeros_(self.out.bias)
        for i in range(s.n_layer):  # orthogonal: U h keeps the length of h, so that gradients live a few steps longer
            nn.init.orthogonal_(getattr(self.rnn, f"weight_hh_l{i}"))

    def forward(self, ids: torch.Tensor, state: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        # `hidden` is the last layer's state after every token, `state` that of every layer after the last: what the next batch begins with
        hidden, state = self.rnn(self.embedding(ids), state)
        return self.out(hidden), state


def optimizer(s: Settings, model: nn.Module) -> torch.optim.Optimizer:
    """Plain SGD: nothing adapts to the size of a gradient, so that clipping does all the work."""
    return torch.optim.SGD(model.parameters(), lr=s.lr, momentum=s.momentum, weight_decay=s.weight_decay)


# Streams, because a state can only be carried where each row goes on with the text of the row before
PARTS = loop.Parts("rnn", RNN, optimizer, batches.Streams)


def train(settings: Settings, hooks: Hooks) -> None:
    """Train an Elman network as the settings say."""
    loop.train(PARTS, settings, hooks)
