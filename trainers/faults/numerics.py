"""Faults of the numbers: NaN, overflow, and a log that hides them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainers.faults.fault import Fault

if TYPE_CHECKING:
    import torch


def a_gradient(model: torch.nn.Module) -> torch.Tensor:
    """Return the gradient of the first parameter that has one."""
    return next(p.grad for p in model.parameters() if p.grad is not None)


class NanWeights(Fault):
    """One gradient at 60% of the run is NaN, as after a division by zero: the update makes all weights NaN."""

    rules = ("non-finite-loss",)
    remedy = "find the division, and go on from before it"
    advised = "Resume from"

    def gradients(self, step: int, model: torch.nn.Module) -> None:
        if step == self.at(0.6):
            a_gradient(model).fill_(float("nan"))


class MaskedNan(NanWeights):
    """NaN losses are logged as 0, as a trainer that filters them out of its running mean does."""

    rules = ("masked-nan",)
    remedy = "log the loss as it is; cure the NaN"
    advised = "logging_nan_inf_filter"

    def record(self, step: int, record: dict[str, Any]) -> dict[str, Any]:
        return record if record["loss"] == record["loss"] else {**record, "loss": 0.0}


class UnloggedNan(NanWeights):
    """NaN losses are not logged at all, as by a writer of JSON that puts null in their place."""

    rules = ("missing-loss",)
    remedy = "log the loss as it is; cure the NaN"
    advised = "NaN"

    def record(self, step: int, record: dict[str, Any]) -> dict[str, Any]:
        return record if record["loss"] == record["loss"] else {**record, "loss": None, "grad_norm": None}


class InfiniteGradients(Fault):
    """Every tenth backward pass overflows, as a division by almost nothing does; those updates are skipped."""

    rules = ("non-finite-gradient",)
    remedy = "find the operation that overflows"
    advised = "operation that overflows"
    changes = {"skip_nonfinite": True}

    def gradients(self, step: int, model: torch.nn.Module) -> None:
        if step % 10 == 0 and step > self.at(0.3):
            a_gradient(model).view(-1)[0] = float("inf")


class Fp16Overflow(Fault):
    """From 50% of the run on every fp16 gradient overflows whatever the loss scale, which falls and falls."""

    rules = ("loss-scale-collapse",)
    remedy = "bf16, which needs no loss scale"
    advised = "bf16"
    changes = {"precision": "fp16"}
    models = ("transformer", "rnn")  # there is no LSTM in fp16 for CPUs
    cure = {"precision": "bf16"}
    mended = None

    def gradients(self, step: int, model: torch.nn.Module) -> None:
        if self.settings.precision == "fp16" and step >= self.at(0.5):
            a_gradient(model).view(-1)[0] = float("inf")


FAULTS = (NanWeights, MaskedNan, UnloggedNan, InfiniteGradients, Fp16Overflow)
