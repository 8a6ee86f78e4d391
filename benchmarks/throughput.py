"""How fast `transformer` trains beside the same architecture written with `torch.nn.TransformerEncoder`.

    python -m benchmarks.throughput [--pairs 100] [--device cpu] [--precision fp32] [--size small|large] [--compile] [--wall]

Both train on batches of the same text with AdamW and clipping; ours also takes the statistics it logs. Each has a process of its own, as a program
that trains has, and their steps alternate, so that a busy machine slows both alike; on a CPU the time is that of the process on one thread unless `--wall` is given.
With `--compile` ours is compiled and the other is not; with `--keep-memory` the other, too, keeps the memory that it frees.
Prints a table; exits 1 when ours is slower.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import statistics
from collections.abc import Callable
from multiprocessing.connection import Connection

import torch
from torch import nn
from torch.nn import functional

from benchmarks.logging_overhead import chosen_clock, interval
from lmdiag.record.gradients import GradientStatistics
from trainers import batches, corpus, loop, transformer
from trainers.devices import Team, choose_device, keep_memory
from trainers.options import read_settings
from trainers.precision import autocast

SIZES: dict[str, dict[str, int]] = {
    "small": {"n_layer": 4, "d_model": 128, "context": 128, "batch_size": 16},
    "large": {"n_layer": 12, "d_model": 768, "n_head": 12, "context": 512, "batch_size": 16},  # 85 million parameters
}


class Plain(nn.Module):
    """The transformer of `trainers.transformer` from PyTorch's own blocks."""

    def __init__(self, s: transformer.Settings, vocab_size: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, s.d_model)
        self.positions = nn.Parameter(torch.zeros(s.context, s.d_model))
        layer = nn.TransformerEncoderLayer(
            s.d_model, s.n_head, 4 * s.d_model, s.dropout, "gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, s.n_layer, nn.LayerNorm(s.d_model), enable_nested_tensor=False)
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(s.context))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        hidden = self.encoder(self.embedding(ids) + self.positions, mask=self.mask, is_causal=True)
        return functional.linear(hidden, self.embedding.weight)


def ours(settings: transformer.Settings, device: torch.device) -> Callable[[], None]:
    """Return a function for one step of our loop."""
    text, source = data(settings)
    model = transformer.Transformer(settings, text.vocabulary.size).to(device).train()
    if settings.compile:
        model.compile()
    optimizer = transformer.optimizer(settings, model)
    gradients, team = GradientStatistics(model), Team(device)
    scaler = torch.amp.GradScaler(device.type, enabled=settings.precision == "fp16")
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        loss, _ = loop.backward(model, *source.next(), None, scaler, settings, team)
        scaler.unscale_(optimizer)
        layers = done % settings.layers_every == 0
        loop.clip(gradients.parameters, gradients.before_update(layers), settings.grad_clip)
        loop.update(optimizer, scaler, loss, settings)
        gradients.after_update(layers, loss=loss)

    return step


def plain(settings: transformer.Settings, device: torch.device) -> Callable[[], None]:
    """Return a function for one step of a minimal loop."""
    text, source = data(settings)
    model = Plain(settings, text.vocabulary.size).to(device).train()
    adam = torch.optim.AdamW(model.parameters(), lr=settings.lr)

    def step() -> None:
        x, y = (t.to(device) for t in source.next())
        adam.zero_grad()
        with autocast(settings, device):
            logits = model(x)
        loss = functional.cross_entropy(logits.float().flatten(0, 1), y.flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), settings.grad_clip)
        adam.step()
        loss.item()

    return step


def data(settings: transformer.Settings) -> tuple[corpus.Corpus, batches.Windows]:
    """Return the text, and what draws batches from it."""
    torch.manual_seed(0)
    text = corpus.load([], max_characters=100_000)
    return text, batches.Windows(text.train, settings.batch_size, settings.context, 0)


def serve(
    kind: Callable[..., Callable[[], None]], settings: transformer.Settings, wall: bool, keep: bool, asked: Connection
) -> None:
    """Make a step whenever asked to, and answer with its seconds."""
    device = choose_device(settings.device)
    clock = chosen_clock(device, wall)
    if keep:
        keep_memory()
    step = kind(settings, device)
    while asked.recv():
        asked.send(seconds(step, clock))


def seconds(function: Callable[[], None], clock: Callable[[], float]) -> float:
    """Return how long one call takes."""
    started = clock()
    function()
    return clock() - started


def main() -> None:
    """Time pairs of steps in random order and print tokens per second."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=100, help="pairs of steps")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16"))
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--wall", action="store_true", help="measure the time on the wall on a CPU as well")
    parser.add_argument("--compile", action="store_true", help="compile our model with torch.compile")
    parser.add_argument("--keep-memory", action="store_true", help="let the other keep what it frees, as ours does")
    options = parser.parse_args()
    device = choose_device(options.device)
    chosen = SIZES[options.size] | {"lr": 1e-4, "precision": options.precision, "device": options.device}
    settings = read_settings("transformer", transformer.Settings, "small", chosen | {"compile": options.compile})
    context = multiprocessing.get_context("spawn")
    doors = []
    for kind, keep in ((ours, True), (plain, options.keep_memory)):
        door, other = context.Pipe()
        context.Process(target=serve, args=(kind, settings, options.wall, keep, other), daemon=True).start()
        doors.append(door)
    found: list[tuple[float, float]] = []
    for pair in range(options.pairs + 10):
        took = {}
        for i in random.sample((0, 1), 2):
            doors[i].send(True)
            took[i] = doors[i].recv()
        if pair >= 10:  # the first ones allocate
            found.append((took[0], took[1]))
    for door in doors:
        door.send(False)
    tokens = settings.batch_size * settings.context
    fast, slow = (tokens / statistics.median(column) for column in zip(*found))
    ratios = [b / a for a, b in found]
    ratio, (low, high) = statistics.median(ratios), interval(ratios)
    print(
        f"{device.type} {options.precision}: ours {fast:,.0f} tokens/s, nn.TransformerEncoder {slow:,.0f}, "
        f"ratio {ratio:.3f} ({low:.3f} to {high:.3f})"
    )
    raise SystemExit(ratio < 1.0)


if __name__ == "__main__":
    main()
