"""Named ways to break a run: what each does, the rules it must raise, and the remedy that must cure it.

A fault is a few settings that override the user's, or a small set of `Hooks` called by the loop, or both. Most set
settings relative to the user's own, so that a fault works on every model and length.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from lmdiag.record.writer import RunLogger
    from trainers.corpus import Corpus


class Hooks:
    """Where a fault may reach into the loop; these do nothing, which is what a healthy run uses."""

    def __init__(self, settings: Any) -> None:
        self.settings = settings

    def at(self, share: float) -> int:
        """Return the step at a share of the run."""
        return max(1, round(share * self.settings.steps))

    def corpus(self, corpus: Corpus) -> Corpus:
        return corpus

    def model(self, model: torch.nn.Module) -> None: ...

    def start(self, log: RunLogger) -> None: ...

    def lr(self, step: int, lr: float) -> float:
        return lr

    def batch(self, step: int, inputs: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return inputs, targets

    def gradients(self, step: int, model: torch.nn.Module) -> None: ...

    def record(self, step: int, record: dict[str, Any]) -> dict[str, Any]:
        return record

    def after(self, step: int) -> None: ...


@dataclass(frozen=True)
class Fault:
    """One way to break a run.

    `rules` are what lmdiag must say of it; `settings` are {name: value or function of the user's settings}; after
    a crash that the fault stages, the run is resumed with `resumed` settings and the hooks `resumed_hooks`.
    """

    name: str
    what: str
    rules: tuple[str, ...]
    remedy: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    hooks: Callable[[Any], Hooks] = Hooks
    resumed: Mapping[str, Any] | None = None
    resumed_hooks: Callable[[Any], Hooks] = Hooks

    def apply(self, settings: Any) -> Any:
        """Return a copy of the settings with the fault's own."""
        return _override(settings, self.settings)

    def apply_to_resumed(self, settings: Any) -> Any:
        """Return the settings of the run that goes on after the crash."""
        return replace(_override(settings, self.resumed or {}), resume=True)


def _override(settings: Any, changes: Mapping[str, Any]) -> Any:
    values = {name: change(settings) if callable(change) else change for name, change in changes.items()}
    return replace(settings, **values)


class StagedCrash(RuntimeError):
    """A crash on purpose, after which the run is resumed."""


# --- hooks, one class per fault that needs code -----------------------------------------------------------------------


class PoisonedBatch(Hooks):
    """One batch of noise at 60% of the run: the same few rare tokens over and over, as from a broken file."""

    def batch(self, step: int, inputs: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if step == self.at(0.6):
            noise = self.vocabulary - 1 - inputs % 2
            return noise, noise.roll(1, 1)
        return inputs, targets

    def corpus(self, corpus: Corpus) -> Corpus:
        self.vocabulary = corpus.vocabulary.size
        return corpus


class GrowingLearningRate(Hooks):
    """The learning rate grows tenfold every fifth of the run, from 40% on."""

    def lr(self, step: int, lr: float) -> float:
        return self.settings.lr * 10 ** (5 * (step / self.settings.steps - 0.4)) if step > self.at(0.4) else lr


class GradientBurst(Hooks):
    """The gradient of one batch at 60% of the run is 100 times too large: a sum where a mean was meant."""

    def gradients(self, step: int, model: torch.nn.Module) -> None:
        if step == self.at(0.6):
            for parameter in model.parameters():
                if parameter.grad is not None:
                    parameter.grad.mul_(100)


class NanWeights(Hooks):
    """From 60% on one gradient is NaN, as after a division by zero in a loss: the update makes all weights NaN."""

    def gradients(self, step: int, model: torch.nn.Module) -> None:
        if step == self.at(0.6):
            next(p for p in model.parameters() if p.grad is not None).grad.fill_(float("nan"))


class InfiniteGradients(Hooks):
    """Every tenth backward pass overflows, as in fp16 without a loss scaler; those updates are skipped."""

    def gradients(self, step: int, model: torch.nn.Module) -> None:
        if step % 10 == 0 and step > self.at(0.3):
            next(p for p in model.parameters() if p.grad is not None).grad.view(-1)[0] = float("inf")


class MaskedNan(NanWeights):
    """NaN losses are logged as 0, as a trainer that filters them out of its running mean does."""

    def record(self, step: int, record: dict[str, Any]) -> dict[str, Any]:
        return record if record["loss"] == record["loss"] else {**record, "loss": 0.0}


class FrozenWeights(Hooks):
    """Nothing is trained but the first vector, a bias or a norm deep inside, which changes next to nothing."""

    def model(self, model: torch.nn.Module) -> None:
        left = next(p for p in model.parameters() if p.dim() == 1)
        for parameter in model.parameters():
            parameter.requires_grad_(parameter is left)


class UnrelatedTargets(Hooks):
    """Targets come from other sequences: the most a model can learn is how often each token occurs."""

    def batch(self, step: int, inputs: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return inputs, targets.flip(0).roll(targets.shape[1] // 2, 1)

    def corpus(self, corpus: Corpus) -> Corpus:
        return replace(corpus, val=corpus.val[::-1].copy())  # evaluated just as wrongly


class Crash(Hooks):
    """The process dies of an error at 75% of the run."""

    def after(self, step: int) -> None:
        if step == self.at(0.75):
            raise StagedCrash(f"staged crash at step {step}")


class Killed(Hooks):
    """The process is killed at 60% of the run, in the middle of writing a record."""

    def start(self, log: RunLogger) -> None:
        self.log = log

    def after(self, step: int) -> None:
        if step == self.at(0.6):
            with open(self.log.path, "a", encoding="utf-8") as file:
                file.write(f'{{"type":"step","step":{step + 1},"loss":2.')
            os.kill(os.getpid(), signal.SIGKILL)


# --- the catalogue ----------------------------------------------------------------------------------------------------

FAULTS: dict[str, Fault] = {
    fault.name: fault
    for fault in (
        Fault(
            "lr-too-high",
            "the learning rate is 250 times too high and does not fall, and nothing is clipped",
            ("divergence",),
            "lower the learning rate",
            {"lr": lambda s: 250 * s.lr, "schedule": "constant", "grad_clip": 0.0},
        ),
        Fault(
            "lr-growing",
            "from 40% on the learning rate grows tenfold every fifth of the run, a decay of the wrong sign; nothing is clipped",
            ("divergence",),
            "correct the schedule",
            {"grad_clip": 0.0},
            GrowingLearningRate,
        ),
        Fault(
            "poisoned-batch",
            "one batch of noise at 60% of the run, and no clipping",
            ("loss-spike", "gradient-spike"),
            "clip gradients and find the batch",
            {"grad_clip": 0.0},
            PoisonedBatch,
        ),
        Fault(
            "poisoned-batch-clipped",
            "one batch of noise at 60% of the run, clipped away",
            ("loss-spike", "gradient-spike"),
            "find the batch",
            {},
            PoisonedBatch,
        ),
        Fault(
            "gradient-burst",
            "the gradient of one batch at 60% of the run is 100 times too large",
            ("gradient-spike",),
            "find what is special about the batch; clipping limits the harm",
            {},
            GradientBurst,
        ),
        Fault(
            "tiny-data",
            "far too little training text: it is learned by heart",
            ("overfitting",),
            "more data, or stop at the best evaluation",
            {"train_tokens": lambda s: 4 * (s.context + 2) * 4},
        ),
        Fault(
            "nan-weights",
            "a NaN gradient at 60% of the run makes every weight NaN",
            ("non-finite-loss",),
            "skip updates whose gradient is not finite",
            {},
            NanWeights,
        ),
        Fault(
            "infinite-gradients",
            "every tenth gradient overflows and its update is skipped",
            ("non-finite-gradient",),
            "bf16, or a loss scaler",
            {"skip_nonfinite": True},
            InfiniteGradients,
        ),
        Fault(
            "masked-nan",
            "NaN losses are logged as zero",
            ("masked-nan",),
            "log the loss as it is; then cure the NaN",
            {},
            MaskedNan,
        ),
        Fault(
            "frozen-weights",
            "nearly all weights are frozen by mistake",
            ("not-learning",),
            "unfreeze the weights",
            {},
            FrozenWeights,
        ),
        Fault("lr-zero", "the learning rate is zero", ("not-learning",), "set a learning rate", {"lr": 0.0}),
        Fault(
            "unrelated-targets",
            "targets come from other sequences",
            ("plateau",),
            "check how targets are made from inputs",
            {},
            UnrelatedTargets,
        ),
        Fault(
            "crash-and-resume",
            "the run crashes and goes on from its last checkpoint",
            ("step-rewind",),
            "nothing: a legal resume",
            {"checkpoint_every": lambda s: max(1, s.steps // 5)},
            Crash,
            resumed={},
        ),
        Fault("killed", "the process is killed at 60% of the run", ("truncated-run",), "resume it", {}, Killed),
    )
}
