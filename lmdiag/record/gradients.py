"""Gradient, parameter and update norms of a PyTorch model, whole and per layer, with one transfer per log call."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_WRAPPERS = re.compile(r"\b(module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")


def layer_of(parameter: str) -> str:
    """Return the layer a parameter belongs to: its name up to the first number, else up to the last dot.

    >>> layer_of("transformer.h.3.attn.c_attn.weight"), layer_of("embedding.weight"), layer_of("lstm.weight_ih_l1")
    ('transformer.h.3', 'embedding', 'lstm.l1')
    """
    name = _WRAPPERS.sub("", parameter)
    numbered = re.match(r"(.*?\.\d+)\.", name)
    if numbered:
        return numbered[1]
    layer, _, last = name.rpartition(".")
    recurrent = re.search(r"_l(\d+)(_reverse)?$", last)  # torch.nn.RNN keeps all its layers in one module
    return f"{layer}.l{recurrent[1]}" if recurrent else layer or last


class GradientStatistics:
    """Measure the norms of one optimizer update; everything stays on the device until `after_update`.

        loss.backward()
        statistics.before_update()      # gradients as they are, before clipping
        clip(...); optimizer.step()
        log.step(step, **statistics.after_update(loss=loss))

    Layers come from `layer_of`, or from any function of a parameter's name. Parameters that need no gradient are
    left out; one that has received none counts as zero.
    """

    def __init__(self, model: torch.nn.Module, layer: Callable[[str], str] = layer_of) -> None:
        named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        self.parameters: list[torch.Tensor] = [p for _, p in named]
        names = [layer(name) for name, _ in named]
        self.layers = list(dict.fromkeys(names))
        self._layer_of = [self.layers.index(name) for name in names]
        self._sharded = any(hasattr(p, "to_local") for p in self.parameters)
        self._spread = len({p.device for p in self.parameters}) > 1  # over several devices
        self._gradients: torch.Tensor | None = None
        self._before: _Copy | None = None

    def before_update(self, update: bool = True, scale: float = 1.0) -> torch.Tensor:
        """Measure the gradients and, for the update norm, keep a copy of the parameters; return the global norm.

        The norm returned is a 0-dim tensor on the device: clip by it and no norm is computed twice. Without `update`
        nothing is copied and `after_update` says nothing of the update. `scale` is the loss scale that is still in
        the gradients.
        """
        import torch

        gradients = [p.grad for p in self.parameters]
        squares = self._squares(
            [torch.zeros((), device=self.parameters[0].device) if g is None else g for g in gradients]
        )
        self._gradients = squares if scale == 1 else squares / scale**2
        self._before = (self._before or _Copy(self.parameters, self._layer_of)) if update else None
        if self._before is not None:
            with torch.no_grad():
                torch._foreach_copy_(self._before.pieces, self._local_parameters())
        return self._gradients.sum().sqrt()

    def after_update(self, layers: bool = True, **extra: Any) -> dict[str, Any]:
        """Return `grad_norm`, `param_norm`, `update_norm`, `update_ratio` and `layers` of the update just made.

        `extra` are further 0-dim tensors, the loss for example: they come to the host in the same transfer.
        """
        import torch

        assert self._gradients is not None, "call before_update first"
        tensors, layer_of = list(self.parameters), {"grad_norm": self._layer_of, "param_norm": self._layer_of}
        if self._before is not None:
            with torch.no_grad():
                torch._foreach_sub_(self._before.pieces, self._local_parameters())
            tensors += self._before.vectors
            layer_of["update_norm"] = self._before.layer_of
        device = self._gradients.device
        scalars = [torch.as_tensor(value, device=device).detach().float().reshape(1) for value in extra.values()]
        numbers = iter(torch.cat([self._gradients, self._squares(tensors), *scalars]).tolist())  # the one transfer
        squares = {name: self._by_layer(places, numbers) for name, places in layer_of.items()}
        record: dict[str, Any] = dict(zip(extra, map(_short, numbers)))  # what is left
        record |= _norms({name: sum(row) for name, row in squares.items()})
        if layers:
            record["layers"] = {name: self._norms_of(i, squares) for i, name in enumerate(self.layers)}
        return record

    def _local_parameters(self) -> list[torch.Tensor]:
        return list(map(local, self.parameters)) if self._sharded else self.parameters

    def _squares(self, tensors: list[torch.Tensor]) -> torch.Tensor:
        """Return the squared L2 norm of each tensor: float32[n], one value per tensor, on the device of the first."""
        import torch

        with torch.no_grad():
            norms: list[Any] = list(torch._foreach_norm(tensors, 2, dtype=torch.float32))
        if self._sharded:  # by FSDP
            norms = [norm.full_tensor() if hasattr(norm, "full_tensor") else norm for norm in norms]
        if self._spread:
            norms = [norm.to(norms[0].device) for norm in norms]
        return torch.stack(norms).square()

    def _by_layer(self, places: list[int], squares: Iterator[float]) -> list[float]:
        """Add up the squares of each layer; takes one for each of the places."""
        sums = [0.0] * len(self.layers)
        for layer, square in zip(places, squares):
            sums[layer] += square
        return sums

    def _norms_of(self, layer: int, squares: dict[str, list[float]]) -> dict[str, float]:
        norms = _norms({name: row[layer] for name, row in squares.items()})
        norms.pop("update_norm", None)
        return norms


class _Copy:
    """Memory for a copy of the parameters: `vectors`, one per layer, and `pieces` of them in the shapes of the parameters.

    The norm of a vector is one kernel where those of its pieces would be many.
    """

    def __init__(self, parameters: list[torch.Tensor], layer_of: list[int]) -> None:
        together: dict[tuple[Any, ...], list[int]] = {}
        for i, (p, layer) in enumerate(zip(parameters, layer_of)):
            sharded = i if hasattr(p, "full_tensor") else None  # by FSDP: it cannot be a piece of anything
            together.setdefault((layer, p.dtype, p.device, sharded), []).append(i)
        self.layer_of = [key[0] for key in together]
        self.vectors: list[torch.Tensor] = []
        pieces: dict[int, torch.Tensor] = {}
        for members in together.values():
            copied = [parameters[i].detach() for i in members]
            if len(copied) == 1:
                vector = copied[0].clone()
                parts = [vector]
            else:
                sizes = [p.numel() for p in copied]
                vector = copied[0].new_empty(sum(sizes))
                parts = [part.view_as(p) for part, p in zip(vector.split(sizes), copied)]
            self.vectors.append(vector)
            pieces |= dict(zip(members, parts))
        self.pieces = [local(pieces[i]) for i in range(len(parameters))]


def local(tensor: Any) -> torch.Tensor:
    """Return this process's part of a tensor that FSDP has split, or the tensor."""
    part: torch.Tensor = tensor.to_local() if hasattr(tensor, "to_local") else tensor
    return part


def _short(value: float) -> float:
    """Round to the precision of float32, which keeps the log small."""
    return float(f"{value:.7g}")


def _norms(squares: dict[str, float]) -> dict[str, float]:
    """Return the roots, and the ratio of the update to the parameters where there is one."""
    norms = {name: _short(square**0.5) for name, square in squares.items()}
    if "update_norm" in norms:
        norms["update_ratio"] = _short(norms["update_norm"] / max(norms["param_norm"], 1e-12))
    return norms
