"""Faults of the weights: how they begin, and whether they learn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from trainers.faults.fault import Fault

if TYPE_CHECKING:
    import torch

EPOCH = 20  # batches


def scale_matrices(model: torch.nn.Module, factor: float) -> None:
    """Multiply all weights but vectors."""
    for parameter in model.parameters():
        if parameter.dim() >= 2:
            parameter.data.mul_(factor)


class ExplodingInit(Fault):
    """All matrices begin ten times too large: the first predictions are confident and wrong."""

    rules = ("wrong-loss-scale",)
    remedy = "initialise with a smaller variance"
    advised = "initialisation"

    def model(self, model: torch.nn.Module) -> None:
        scale_matrices(model, 10.0)


class ZeroInit(Fault):
    """All matrices begin at zero: a gradient that would pass two of them is zero for ever."""

    rules = ("vanishing-gradient", "dead-layer")
    remedy = "initialise with a larger variance"
    advised = "initialisation|without gradient"

    def model(self, model: torch.nn.Module) -> None:
        scale_matrices(model, 0.0)


class VanishingDepth(Fault):
    """Twelve blocks replace the stream instead of adding to it, so that gradients shrink in each of them."""

    rules = ("layer-imbalance",)
    remedy = "add the residual connections"
    advised = "residual"
    changes = {"n_layer": 12}
    models = ("transformer",)

    def model(self, model: torch.nn.Module) -> None:
        blocks: Any = getattr(model, "blocks", None)
        if blocks is None:
            raise ValueError("this fault needs a model of blocks: the transformer")
        for block in blocks:
            block.register_forward_hook(lambda block, inputs, output: output - inputs[0])


class DeadLayer(Fault):
    """The gradient of one layer in the middle is cut off, as by a stray `detach`."""

    rules = ("dead-layer",)
    remedy = "find where its output is cut off"
    advised = "detach"

    def gradients(self, step: int, model: torch.nn.Module) -> None:
        from lmdiag.record.gradients import layer_of

        names = [name for name, _ in model.named_parameters()]
        dead = layer_of(names[len(names) // 2])
        for name, parameter in model.named_parameters():
            if layer_of(name) == dead and parameter.grad is not None:
                parameter.grad.zero_()


class FrozenWeights(Fault):
    """The optimizer updates a copy: the weights that the forward pass uses stay as they began."""

    rules: ClassVar[tuple[str, ...]] = ("not-learning",)
    remedy = "give the optimizer the parameters of the model"
    advised = "parameters the optimizer holds"

    def model(self, model: torch.nn.Module) -> None:
        self.weights = list(model.parameters())
        self.first = [p.detach().clone() for p in self.weights]

    def record(self, step: int, record: dict[str, Any]) -> dict[str, Any]:
        for weight, first in zip(self.weights, self.first):  # before anything is evaluated
            weight.data.copy_(first)
        return record


class FrozenEpochs(FrozenWeights):
    """The weights stay as they began, while the same twenty batches come round in the same order."""

    rules = ("repeated-losses", "not-learning")  # the carried state of an LSTM makes each round a little different
    advised = "parameters (does )?the optimizer hold"

    def __init__(self, settings: Any) -> None:
        super().__init__(settings)
        self.epoch: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def batch(self, step: int, inputs: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.epoch.setdefault((step - 1) % EPOCH, (inputs, targets))


FAULTS = (ExplodingInit, ZeroInit, VanishingDepth, DeadLayer, FrozenWeights, FrozenEpochs)
