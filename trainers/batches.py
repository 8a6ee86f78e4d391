"""Which tokens a step trains on. Both samplers can be saved and restored exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch


def evaluation_batches(ids: np.ndarray, rows: int, context: int, limit: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Cut the beginning of a text into consecutive windows; the last, shorter one makes a batch of its own.

    Every token but the first is a target exactly once.
    """
    part = torch.from_numpy(np.asarray(ids[: limit + 1] if limit else ids).astype(np.int64, copy=False))
    whole = (len(part) - 1) // context * context
    inputs, targets = part[:whole].view(-1, context), part[1 : whole + 1].view(-1, context)
    batches = list(zip(inputs.split(rows), targets.split(rows))) if whole else []
    if whole < len(part) - 1:
        batches.append((part[whole:-1][None], part[whole + 1 :][None]))
    return batches


def evaluation_streams(ids: np.ndarray, rows: int, context: int, limit: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Cut the beginning of a text into streams that are read side by side, so that a recurrent model carries its state.

    Every token is a target once, but for the first of the text and fewer than `rows` at its end.
    """
    part = torch.from_numpy(np.asarray(ids[: limit + 1] if limit else ids).astype(np.int64, copy=False))
    # fewer rows for a short text: a stream shorter than a window would measure a model that has hardly read anything yet
    rows = max(1, min(rows, (len(part) - 1) // context))
    length = (len(part) - 1) // rows
    inputs, targets = part[: rows * length].view(rows, length), part[1 : rows * length + 1].view(rows, length)
    return list(zip(inputs.split(context, 1), targets.split(context, 1)))


class Windows:
    """Random windows of the text, drawn anew for each step: independent sequences, for the transformer.

    Every rank draws the same global batch and keeps its own rows, so that the number of processes does not
    change what a step trains on.
    """

    evaluation = staticmethod(evaluation_batches)

    def __init__(self, ids: np.ndarray, batch_size: int, context: int, seed: int) -> None:
        if len(ids) < context + 2:
            raise ValueError(f"{len(ids)} training tokens are too few for a context of {context} tokens")
        self.ids = ids  # perhaps a file that is mapped into memory: only what a batch needs is read
        self.batch_size, self.context = batch_size, context
        self.generator = torch.Generator().manual_seed(seed)

    def next(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return inputs and targets, int64[batch_size, context] each; the targets are the inputs one token later."""
        # with replacement, and of any start: no epoch has to be kept in mind, and windows are cut differently each time
        starts = torch.randint(len(self.ids) - self.context, (self.batch_size,), generator=self.generator)
        chosen = self.ids[starts[:, None].numpy() + np.arange(self.context + 1)]
        rows = torch.from_numpy(chosen.astype(np.int64, copy=False))
        return rows[:, :-1], rows[:, 1:]

    def state_dict(self) -> dict[str, Any]:
        return {"generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.generator.set_state(state["generator"])


class Streams:
    """The text cut into as many streams as the batch has rows, read side by side, for recurrent models.

    Row i of each batch goes on where row i of the batch before ended, so that the hidden state can be carried over
    (truncated backpropagation through time). At the end of the text the streams start again.
    """

    evaluation = staticmethod(evaluation_streams)

    def __init__(self, ids: np.ndarray, batch_size: int, context: int, seed: int) -> None:
        length = len(ids) // batch_size
        if length < context + 1:
            raise ValueError(f"{len(ids)} training tokens are too few for {batch_size} streams of {context} tokens")
        self.streams = ids[: length * batch_size].reshape(batch_size, length)
        self.context = context
        # another seed starts elsewhere in the text, the only thing there is to draw here
        self.position = int(np.random.default_rng(seed).integers((length - 1) // context)) * context

    def next(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return inputs and targets, int64[batch_size, context] each; the targets are the inputs one token later."""
        if self.position + self.context + 1 > self.streams.shape[1]:
            self.position = 0  # the state of the text's end is carried into its beginning: one odd batch in hundreds
        chosen = self.streams[:, self.position : self.position + self.context + 1]
        rows = torch.from_numpy(chosen.astype(np.int64, copy=False))
        self.position += self.context
        return rows[:, :-1], rows[:, 1:]

    def state_dict(self) -> dict[str, Any]:
        return {"position": self.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.position = state["position"]
