"""Faults of the gradients' size: too large for once, none at all, always cut down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainers.faults.fault import Fault

if TYPE_CHECKING:
    import torch


def scale_gradients(model: torch.nn.Module, factor: float) -> None:
    """Multiply all gradients."""
    for parameter in model.parameters():
        if parameter.grad is not None:
            parameter.grad.mul_(factor)


class GradientBurst(Fault):
    """The gradient of one batch at 60% of the run is 100 times too large: a sum where a mean was meant."""

    rules = ("gradient-spike",)
    remedy = "find what is special about the batch; clipping limits the harm"
    advised = "batch|Clip"

    def gradients(self, step: int, model: torch.nn.Module) -> None:
        if step == self.at(0.6):
            scale_gradients(model, 100.0)


class DetachedLoss(Fault):
    """From 50% of the run on the loss is cut off from the weights, as by `no_grad`: all gradients are zero."""

    rules = ("vanishing-gradient",)
    remedy = "find where the graph is cut"
    advised = "detached"

    def gradients(self, step: int, model: torch.nn.Module) -> None:
        if step > self.at(0.5):
            scale_gradients(model, 0.0)


class AlwaysClipped(Fault):
    """The limit of the gradient norm is a hundredth of what it should be."""

    rules = ("clip-saturation",)
    remedy = "raise the limit to a high percentile of the norms"
    advised = "Raise the limit"
    changes = {"grad_clip": lambda s: s.grad_clip / 100}
    cure = {"grad_clip": lambda s: 150 * s.grad_clip}  # about the 90th percentile of the bundled models' norms


class SummedLoss(Fault):
    """The losses of four micro-batches are added up where their mean was meant."""

    rules = ("wrong-loss-scale",)
    remedy = "divide by the number of micro-batches"
    advised = "accumulation steps"
    changes = {"accumulation": 4}

    def gradients(self, step: int, model: torch.nn.Module) -> None:
        scale_gradients(model, self.settings.accumulation)

    def record(self, step: int, record: dict[str, Any]) -> dict[str, Any]:
        return {**record, "loss": record["loss"] * self.settings.accumulation}


FAULTS = (GradientBurst, DetachedLoss, AlwaysClipped, SummedLoss)
