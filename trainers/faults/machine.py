"""Faults of the machine: slow, short of memory, or gone."""

from __future__ import annotations

import os
import signal
import statistics
import time
from typing import TYPE_CHECKING, Any, ClassVar

from trainers.faults.fault import Fault, Hooks, StagedCrash

if TYPE_CHECKING:
    import torch

    from lmdiag.record.writer import RunLogger


class SlowLoader(Fault):
    """Each batch takes twice as long to arrive as to train on."""

    rules = ("data-starvation",)
    remedy = "more loader workers, prefetching"
    advised = "workers|prefetch"

    def __init__(self, settings: Any) -> None:
        super().__init__(settings)
        self.began = time.perf_counter()

    def batch(self, step: int, inputs: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        time.sleep(2 * (time.perf_counter() - self.began))  # on any machine the same share of the time
        self.began = time.perf_counter()
        return inputs, targets


class Slowdown(Fault):
    """From 50% of the run on each step takes four times as long as before, as on a throttled machine."""

    rules = ("slowdown",)
    remedy = "look for throttling, neighbours"
    advised = "temperature|clock|neighbour"

    def __init__(self, settings: Any) -> None:
        super().__init__(settings)
        self.before: list[float] = []  # seconds of the steps of the first half

    def batch(self, step: int, inputs: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.began = time.perf_counter()
        return inputs, targets

    def gradients(self, step: int, model: torch.nn.Module) -> None:
        if step <= self.at(0.5):
            self.before.append(time.perf_counter() - self.began)
        else:  # a median, so that a busy moment of the machine does not count
            time.sleep(3 * statistics.median(self.before))


class MemoryLeak(Fault):
    """Each step keeps 4 MB for ever, as a list of losses that still hold their graphs does."""

    rules = ("memory-growth",)
    remedy = "keep numbers, not tensors"
    advised = "item"

    def __init__(self, settings: Any) -> None:
        super().__init__(settings)
        self.kept: list[bytearray] = []

    def after(self, step: int) -> None:
        self.kept.append(bytearray(os.urandom(1) * (4 << 20)))


class CrashAndResume(Fault):
    """The process dies of an error at 75% of the run, which goes on from its last checkpoint as if it had not."""

    rules = ("step-rewind",)
    remedy = "nothing: this is what checkpoints are for"
    advised = "resume restores"
    changes = {"checkpoint_every": lambda s: max(1, s.steps // 5)}
    resumed = {}
    mended: ClassVar[type[Hooks] | None] = None

    def after(self, step: int) -> None:
        if step == self.at(0.75) and not self.settings.resume:
            raise StagedCrash(f"staged crash at step {step}")


class PartialResume(CrashAndResume):
    """After a crash half of the weights are not found in the checkpoint, and begin anew."""

    rules = ("resume-jump",)
    models = ("rnn", "lstm", "transformer")
    remedy = "load all weights, strictly"
    advised = "loaded"
    mended = CrashAndResume
    lost = False  # so far

    def gradients(self, step: int, model: torch.nn.Module) -> None:
        if self.settings.resume and not self.lost:
            matrices = [weights for weights in model.parameters() if weights.dim() == 2]
            for weights in matrices[len(matrices) // 2 :]:
                weights.data.normal_(0, 0.02)
            self.lost = True


class Killed(Fault):
    """The process is killed at 60% of the run, in the middle of writing a record."""

    rules = ("truncated-run",)
    remedy = "resume it"
    advised = "[Rr]esume"

    def start(self, log: RunLogger) -> None:
        self.log = log

    def after(self, step: int) -> None:
        if step == self.at(0.6):
            with open(self.log.path, "a", encoding="utf-8") as file:
                file.write(f'{{"type":"step","step":{step + 1},"loss":2.')
            os.kill(os.getpid(), signal.SIGKILL)


class Crash(Fault):
    """The process dies of an error at 60% of the run, and nobody resumes it."""

    rules = ("crashed-run",)
    remedy = "mend the error, and resume it"
    advised = "resume"

    def after(self, step: int) -> None:
        if step == self.at(0.6) and not self.settings.resume:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")


FAULTS = (SlowLoader, Slowdown, MemoryLeak, CrashAndResume, PartialResume, Killed, Crash)
