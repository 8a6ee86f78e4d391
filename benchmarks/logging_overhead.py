"""What logging costs: time per step with everything logged at every step, over the same step without logging.

    python -m benchmarks.logging_overhead [--pairs 200] [--device cpu] [--size small|medium|large] [--wall]

Steps with and without logging alternate in one process on one model, in random order within each pair, so that a busy
machine slows both alike. On a CPU the time is that of the process on one thread, which other programs hardly change; with `--wall`, and on
an accelerator, it is that of the clock on the wall. Prints a table; exits 1 above the limit of 1.03.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from lmdiag.record.gradients import GradientStatistics
from lmdiag.record.writer import RunLogger
from trainers import batches, corpus, loop, transformer
from trainers.devices import Team, choose_device, memory_in_use
from trainers.options import read_settings

LIMIT = 1.03
SIZES: dict[str, dict[str, Any]] = {
    "small": {},  # the recipe: 100 thousand parameters
    "medium": {"n_layer": 6, "d_model": 256, "n_head": 8, "context": 256, "batch_size": 8},  # 5 million
    "large": {
        "n_layer": 12,
        "d_model": 768,
        "n_head": 12,
        "context": 512,
        "batch_size": 16,
        "precision": "bf16",
    },  # 85 million
}
USUAL = ("small", "medium")


def measure(
    settings: transformer.Settings, pairs: int, device: torch.device, clock: Callable[[], float]
) -> list[tuple[float, float]]:
    """Return the seconds of (plain, logged) steps, pair by pair."""
    torch.manual_seed(0)
    text = corpus.load([], max_characters=100_000)
    model = transformer.Transformer(settings, text.vocabulary.size).to(device).train()
    optimizer = transformer.optimizer(settings, model)
    gradients = GradientStatistics(model)
    scaler = torch.amp.GradScaler(device.type, enabled=False)
    source = batches.Windows(text.train, settings.batch_size, settings.context, 0)
    team = Team(device)
    folder = tempfile.TemporaryDirectory()
    log = RunLogger(Path(folder.name, "a.jsonl"))

    def plain() -> None:
        loss, _ = loop.backward(model, *source.next(), None, scaler, settings, team)
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.grad_clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        loss.item()  # every loop looks at its loss; it also waits for the device

    def logged() -> None:
        started = time.perf_counter()
        loss, _ = loop.backward(model, *source.next(), None, scaler, settings, team)
        norm = gradients.before_update()
        loop.clip(gradients.parameters, norm, settings.grad_clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        measured = gradients.after_update(loss=loss)
        seconds = time.perf_counter() - started
        memory = memory_in_use(device)
        log.step(
            1, lr=settings.lr, tokens=1, step_time_s=seconds, tokens_per_sec=1 / seconds, mem_bytes=memory, **measured
        )

    found = [timed(plain, logged, clock) for _ in range(pairs + 10)][10:]  # the first ones allocate
    log.end()
    folder.cleanup()
    return found


def timed(plain: Callable[[], None], logged: Callable[[], None], clock: Callable[[], float]) -> tuple[float, float]:
    """Run both once, in random order, and return their seconds."""
    seconds = {}
    for function in random.sample([plain, logged], 2):
        started = clock()
        function()
        seconds[function] = clock() - started
    return seconds[plain], seconds[logged]


def interval(ratios: list[float]) -> tuple[float, float]:
    """Return the 95% interval of a median, between two of the values in their order: it takes no shape for granted.

    >>> interval([float(n) for n in range(1, 101)])
    (40.0, 61.0)
    """
    in_order, n = sorted(ratios), len(ratios)
    reach = 0.98 * math.sqrt(n)  # 1.96 standard deviations of how many of n values lie below the median
    return in_order[max(0, math.floor(n / 2 - reach) - 1)], in_order[min(n - 1, math.ceil(n / 2 + reach))]


def chosen_clock(device: torch.device, wall: bool) -> Callable[[], float]:
    """Return what to measure with: the CPU time of one thread, or the clock on the wall."""
    if wall or device.type != "cpu":
        return time.perf_counter
    torch.set_num_threads(1)  # idle threads that wait for others would count as work
    return time.process_time


def main() -> None:
    """Measure every size asked for and print one line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=200, help="pairs of steps")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--size", choices=SIZES, help="default: small and medium")
    parser.add_argument("--wall", action="store_true", help="measure the time on the wall on a CPU as well")
    options = parser.parse_args()
    device = choose_device(options.device)
    clock = chosen_clock(device, options.wall)
    worst = 0.0
    print("size    device  plain ms  logged ms  ratio  95% of it")
    for size in [options.size] if options.size else USUAL:
        found = measure(
            read_settings("transformer", transformer.Settings, "small", SIZES[size]), options.pairs, device, clock
        )
        plain, logged = (statistics.median(column) for column in zip(*found))
        ratios = [b / a for a, b in found]
        ratio, (low, high) = statistics.median(ratios), interval(ratios)
        worst = max(worst, ratio)
        print(
            f"{size:8}{device.type:8}{1e3 * plain:8.2f}{1e3 * logged:11.2f}{ratio:7.3f}  {low:.3f} to {high:.3f}",
            flush=True,
        )
    raise SystemExit(worst > LIMIT)


if __name__ == "__main__":
    main()
