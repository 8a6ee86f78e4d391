"""A language model with long short-term memory: embedding, LSTM, dropout, linear layer, Adam.

Gates decide what the cell state keeps, so that gradients survive hundreds of tokens (Hochreiter and Schmidhuber 1997). Dropout stands
between layers, never inside the recurrence (Zaremba et al. 2014).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from trainers import batches, loop
from trainers.faults import Hooks
from trainers.settings import Settings as LoopSettings
from trainers.settings import setting

State = tuple[torch.Tensor, torch.Tensor]  # hidden and cell state, [layers, batch, width] each


@dataclass
class Settings(LoopSettings):
    """The settings of the LSTM beside those of the loop."""

    steps: int = setting(4000, "optimizer updates", least=1)
    batch_size: int = setting(16, "sequences per optimizer update, all devices together", least=1)
    eval_every: int = setting(200, "steps between evaluations", least=1)
    lr: float = setting(5e-3, "peak learning rate")
    weight_decay: float = setting(0.0, "decay of all weights")
    n_layer: int = setting(1, "recurrent layers", least=1)
    d_model: int = setting(256, "width of embedding and hidden state", least=1)
    dropout: float = setting(0.0, "share of activations dropped in training")


class LSTM(nn.Module):
    """Stacked LSTM; logits from the hidden state of the last layer."""

    def __init__(self, s: Settings, vocab_size: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, s.d_model)
        # torch drops between layers only, and warns where there is nothing between
        between = s.dropout if s.n_layer > 1 else 0.0
        self.lstm = nn.LSTM(s.d_model, s.d_model, s.n_layer, dropout=between, batch_first=True)
        self.drop = nn.Dropout(s.dropout)
        self.out = nn.Linear(s.d_model, vocab_size)
        nn.init.uniform_(self.embedding.weight, -1.0, 1.0)  # as large as the states it is added to
        nn.init.zeros_(self.out.bias)
        # torch keeps the biases of a layer in one vector: input gate, forget gate, cell, output gate
        for i in range(s.n_layer):  # forget gates begin open: the cell remembers until it learns to forget
            getattr(self.lstm, f"bias_ih_l{i}").data[s.d_model : 2 * s.d_model] = 1.0

    def forward(self, ids: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        # dropping within the recurrence would erase at every token what the cell is there to keep
        hidden, state = self.lstm(self.drop(self.embedding(ids)), state)
        return self.out(self.drop(hidden)), state


def optimizer(s: Settings, model: nn.Module) -> torch.optim.Optimizer:
    """Adam: a learning rate of its own for each weight."""
    # Gates that are nearly shut pass on gradients thousands of times smaller than open ones: one rate for all, as `rnn` has it, would
    # move the one and not the other.
    fused = next(model.parameters()).is_cuda or None  # one kernel for all weights
    return torch.optim.Adam(model.parameters(), lr=s.lr, weight_decay=s.weight_decay, fused=fused)


PARTS = loop.Parts("lstm", LSTM, optimizer, batches.Streams)


def train(settings: Settings, hooks: Hooks) -> None:
    """Train an LSTM as the settings say."""
    loop.train(PARTS, settings, hooks)
