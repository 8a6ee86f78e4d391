"""Named ways to break a run: what each does, the rules it must raise, and the remedy that must cure it.

A fault is a few settings that override the user's, or a small set of `Hooks` called by the loop, or both. Most set
settings relative to the user's own, so that a fault works on every model and length.
"""

from __future__ import annotations

import os
import signal
import time
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

    def evaluation(self, batches: list[Any]) -> list[Any]:
        return batches

    def sampler(self, saved: dict[str, Any], fresh: dict[str, Any]) -> dict[str, Any]:
        return saved

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
    missing = [name for name in changes if not hasattr(settings, name)]
    if missing:
        raise ValueError(f"this fault needs the settings {', '.join(missing)}, which this trainer does not have")
    values = {name: change(settings) if callable(change) else change for name, change in changes.items()}
    return replace(settings, **values)


class StagedCrash(RuntimeError):
    """A crash on purpose, after which the run is resumed."""


# --- hooks: one class per fault that needs code -----------------------------------------------------------------------


class GrowingLearningRate(Hooks):
    """The learning rate grows tenfold every fifth of the run, from 40% on."""

    def lr(self, step: int, lr: float) -> float:
        return self.settings.lr * 10 ** (5 * (step / self.settings.steps - 0.4)) if step > self.at(0.4) else lr


class DeadLearningRate(Hooks):
    """The schedule was made for half of the steps: after that the learning rate is zero."""

    def lr(self, step: int, lr: float) -> float:
        return lr if step <= self.at(0.5) else 0.0


class HugeWeights(Hooks):
    """All matrices begin ten times too large: the first predictions are confident and wrong."""

    factor = 10.0

    def model(self, model: torch.nn.Module) -> None:
        for parameter in model.parameters():
            if parameter.dim() >= 2:
                parameter.data.mul_(self.factor)


class TinyWeights(HugeWeights):
    """All matrices begin a thousand times too small: a gradient that passes several of them is nothing."""

    factor = 1e-3


class NoResiduals(Hooks):
    """Blocks replace the stream instead of adding to it, so that gradients shrink in each of them."""

    def model(self, model: torch.nn.Module) -> None:
        if not hasattr(model, "blocks"):
            raise ValueError("this fault needs a model of blocks: the transformer")
        for block in model.blocks:
            block.register_forward_hook(lambda block, inputs, output: output - inputs[0])


class DeadLayer(Hooks):
    """The gradient of one layer in the middle is cut off, as by a stray `detach`."""

    def gradients(self, step: int, model: torch.nn.Module) -> None:
        from lmdiag.record.gradients import layer_of

        names = [name for name, _ in model.named_parameters()]
        dead = layer_of(names[len(names) // 2])
        for name, parameter in model.named_parameters():
            if layer_of(name) == dead and parameter.grad is not None:
                parameter.grad.zero_()


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


class GradientBurst(Hooks):
    """The gradient of one batch at 60% of the run is 100 times too large: a sum where a mean was meant."""

    def gradients(self, step: int, model: torch.nn.Module) -> None:
        if step == self.at(0.6):
            scale_gradients(model, 100.0)


class SummedLoss(Hooks):
    """The losses of the micro-batches are added up where their mean was meant."""

    def gradients(self, step: int, model: torch.nn.Module) -> None:
        scale_gradients(model, self.settings.accumulation)

    def record(self, step: int, record: dict[str, Any]) -> dict[str, Any]:
        return {**record, "loss": record["loss"] * self.settings.accumulation}


class NanWeights(Hooks):
    """From 60% on one gradient is NaN, as after a division by zero in a loss: the update makes all weights NaN."""

    def gradients(self, step: int, model: torch.nn.Module) -> None:
        if step == self.at(0.6):
            a_gradient(model).fill_(float("nan"))


class MaskedNan(NanWeights):
    """NaN losses are logged as 0, as a trainer that filters them out of its running mean does."""

    def record(self, step: int, record: dict[str, Any]) -> dict[str, Any]:
        return record if record["loss"] == record["loss"] else {**record, "loss": 0.0}


class InfiniteGradients(Hooks):
    """Every tenth backward pass overflows, as in fp16 without a loss scaler; those updates are skipped."""

    def gradients(self, step: int, model: torch.nn.Module) -> None:
        if step % 10 == 0 and step > self.at(0.3):
            a_gradient(model).view(-1)[0] = float("inf")


class Overflow(Hooks):
    """From 50% on activations are beyond the range of fp16 whatever the loss scale, which falls and falls."""

    def gradients(self, step: int, model: torch.nn.Module) -> None:
        if step >= self.at(0.5):
            a_gradient(model).view(-1)[0] = float("inf")


class FrozenWeights(Hooks):
    """The optimizer updates a copy: the weights that the forward pass uses stay as they began."""

    def model(self, model: torch.nn.Module) -> None:
        self.weights = list(model.parameters())
        self.first = [p.detach().clone() for p in self.weights]

    def record(self, step: int, record: dict[str, Any]) -> dict[str, Any]:
        for weight, first in zip(self.weights, self.first):  # before anything is evaluated
            weight.data.copy_(first)
        return record


class UnrelatedTargets(Hooks):
    """Targets come from other sequences: the most a model can learn is how often each token occurs."""

    def batch(self, step: int, inputs: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return inputs, targets.flip(0).roll(targets.shape[1] // 2, 1)

    def evaluation(self, batches: list[Any]) -> list[Any]:
        return [self.batch(0, *batch) for batch in batches]


class LeakedTargets(Hooks):
    """The shift by one token was forgotten: a model has to repeat what it sees."""

    def batch(self, step: int, inputs: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return inputs, inputs

    def evaluation(self, batches: list[Any]) -> list[Any]:
        return [self.batch(0, *batch) for batch in batches]


class OverlappingEvaluation(Hooks):
    """The evaluation set is a part of the training set, which is learned by heart."""

    def corpus(self, corpus: Corpus) -> Corpus:
        return replace(corpus, val=corpus.train)


class SlowLoader(Hooks):
    """Each batch takes longer to arrive than to train on."""

    def batch(self, step: int, inputs: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        time.sleep(0.1)
        return inputs, targets


class Slowdown(Hooks):
    """From 50% on each step takes 0.2 s longer, as on a throttled machine."""

    def gradients(self, step: int, model: torch.nn.Module) -> None:
        if step > self.at(0.5):
            time.sleep(0.2)


class MemoryLeak(Hooks):
    """Each step keeps 4 MB for ever, as a list of losses that still hold their graphs does."""

    def __init__(self, settings: Any) -> None:
        super().__init__(settings)
        self.kept: list[bytearray] = []

    def after(self, step: int) -> None:
        self.kept.append(bytearray(os.urandom(1) * (4 << 20)))


class Crash(Hooks):
    """The process dies of an error at 75% of the run."""

    def after(self, step: int) -> None:
        if step == self.at(0.75):
            raise StagedCrash(f"staged crash at step {step}")


class ForgottenSampler(Hooks):
    """The resumed run begins with the first batches again."""

    def sampler(self, saved: dict[str, Any], fresh: dict[str, Any]) -> dict[str, Any]:
        return fresh


class Killed(Hooks):
    """The process is killed at 60% of the run, in the middle of writing a record."""

    def start(self, log: RunLogger) -> None:
        self.log = log

    def after(self, step: int) -> None:
        if step == self.at(0.6):
            with open(self.log.path, "a", encoding="utf-8") as file:
                file.write(f'{{"type":"step","step":{step + 1},"loss":2.')
            os.kill(os.getpid(), signal.SIGKILL)


def a_gradient(model: torch.nn.Module) -> torch.Tensor:
    """Return the gradient of the first parameter that has one."""
    return next(p.grad for p in model.parameters() if p.grad is not None)


def scale_gradients(model: torch.nn.Module, factor: float) -> None:
    """Multiply all gradients."""
    for parameter in model.parameters():
        if parameter.grad is not None:
            parameter.grad.mul_(factor)


# --- the catalogue ----------------------------------------------------------------------------------------------------


def _fifth(settings: Any) -> int:
    return max(1, settings.steps // 5)


_CATALOGUE = (
    # learning rate
    Fault(
        "lr-too-high",
        "the learning rate is 250 times too high and does not fall, and nothing is clipped",
        ("divergence",),
        "lower the learning rate",
        {"lr": lambda s: 250 * s.lr, "schedule": "constant", "grad_clip": 0.0},
    ),
    Fault(
        "lr-growing",
        "from 40% on the learning rate grows tenfold every fifth of the run, and nothing is clipped",
        ("divergence",),
        "correct the sign of the decay",
        {"grad_clip": 0.0},
        GrowingLearningRate,
    ),
    Fault(
        "lr-too-low",
        "the learning rate is 1000 times too low",
        ("worse-than-reference",),
        "raise it",
        {"lr": lambda s: s.lr / 1000},
    ),
    Fault("lr-zero", "the learning rate is zero", ("zero-lr",), "set a learning rate", {"lr": 0.0}),
    Fault(
        "lr-dead-halfway",
        "the learning rate is zero from 50% of the run on",
        ("zero-lr",),
        "make the schedule as long as the run",
        {},
        DeadLearningRate,
    ),
    Fault(
        "lr-jump-on-resume",
        "after a crash the learning rate goes on ten times higher",
        ("lr-jump",),
        "restore the scheduler with the weights",
        {"checkpoint_every": _fifth},
        Crash,
        resumed={"lr": lambda s: 10 * s.lr},
    ),
    Fault(
        "no-warmup",
        "a learning rate ten times higher from the first step, without warm-up or clipping",
        ("early-instability",),
        "warm up over the first steps",
        {"warmup_steps": 0, "lr": lambda s: 10 * s.lr, "grad_clip": 0.0},
    ),
    # weights and gradients
    Fault(
        "exploding-init",
        "all matrices begin ten times too large",
        ("wrong-loss-scale",),
        "initialise with a smaller variance",
        {},
        HugeWeights,
    ),
    Fault(
        "vanishing-init",
        "all matrices begin a thousand times too small, and the learning rate is too small to mend it",
        ("not-learning",),
        "initialise with a larger variance",
        {"lr": lambda s: s.lr / 100},
        TinyWeights,
    ),
    Fault(
        "vanishing-depth",
        "twelve blocks without residual connections",
        ("layer-imbalance",),
        "add the residual connections",
        {"n_layer": 12},
        NoResiduals,
    ),
    Fault(
        "dead-layer", "one layer gets no gradient", ("dead-layer",), "find where its output is cut off", {}, DeadLayer
    ),
    Fault(
        "frozen-weights", "nearly all weights are frozen", ("not-learning",), "unfreeze the weights", {}, FrozenWeights
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
        "always-clipped",
        "the limit of the gradient norm is a hundredth of what it should be",
        ("clip-saturation",),
        "raise the limit to a high percentile of the norms",
        {"grad_clip": lambda s: s.grad_clip / 100},
    ),
    # numbers
    Fault(
        "nan-weights",
        "a NaN gradient at 60% of the run makes every weight NaN",
        ("non-finite-loss",),
        "skip updates whose gradient is not finite",
        {},
        NanWeights,
    ),
    Fault(
        "masked-nan",
        "NaN losses are logged as zero",
        ("masked-nan",),
        "log the loss as it is; cure the NaN",
        {},
        MaskedNan,
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
        "fp16-overflow",
        "from 50% of the run on every fp16 gradient overflows and the loss scale collapses",
        ("loss-scale-collapse",),
        "bf16",
        {"precision": "fp16"},
        Overflow,
    ),
    # data
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
        "one batch of noise at 60% of the run, with clipping",
        ("loss-spike", "gradient-spike"),
        "find the batch",
        {},
        PoisonedBatch,
    ),
    Fault(
        "tiny-data",
        "far too little training text: it is learned by heart",
        ("overfitting",),
        "more data, or stop at the best evaluation",
        {"train_tokens": lambda s: 16 * (s.context + 2)},
    ),
    Fault(
        "unrelated-targets",
        "targets come from other sequences",
        ("plateau",),
        "check how targets are made from inputs",
        {},
        UnrelatedTargets,
    ),
    Fault(
        "leaked-targets",
        "targets are the inputs themselves",
        ("bits-per-byte-out-of-range",),
        "shift the targets by one token",
        {},
        LeakedTargets,
    ),
    Fault(
        "overlapping-evaluation",
        "the evaluation set is the tiny training set",
        ("too-low-loss",),
        "evaluate on text the model has not seen",
        {"train_tokens": lambda s: 16 * (s.context + 2)},
        OverlappingEvaluation,
    ),
    Fault(
        "repeated-data-on-resume",
        "after a crash, a run on little data begins with its first batches again",
        ("replayed-data",),
        "restore the sampler with the weights",
        {"checkpoint_every": _fifth, "train_tokens": lambda s: 16 * (s.context + 2)},
        Crash,
        resumed={},
        resumed_hooks=ForgottenSampler,
    ),
    Fault(
        "summed-loss",
        "losses of four micro-batches are added up instead of averaged",
        ("wrong-loss-scale",),
        "divide by the number of micro-batches",
        {"accumulation": 4},
        SummedLoss,
    ),
    # the machine
    Fault(
        "slow-loader",
        "batches arrive 0.1 s late",
        ("data-starvation",),
        "more loader workers, prefetching",
        {},
        SlowLoader,
    ),
    Fault(
        "slowdown",
        "steps take 0.2 s longer from 50% on",
        ("slowdown",),
        "look for throttling, neighbours",
        {},
        Slowdown,
    ),
    Fault("memory-leak", "each step keeps 4 MB", ("memory-growth",), "keep numbers, not tensors", {}, MemoryLeak),
    Fault(
        "crash-and-resume",
        "the run crashes and goes on from its last checkpoint",
        ("step-rewind",),
        "nothing: a legal resume",
        {"checkpoint_every": _fifth},
        Crash,
        resumed={},
    ),
    Fault("killed", "the process is killed at 60% of the run", ("truncated-run",), "resume it", {}, Killed),
)
FAULTS: dict[str, Fault] = {fault.name: fault for fault in _CATALOGUE}
