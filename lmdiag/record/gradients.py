"""Gradient, parameter and update norms of a PyTorch model, whole and per layer, with one transfer per log call."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
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
        groups = [layer(name) for name, _ in named]
        self.layers = list(dict.fromkeys(groups))
        self._group = [self.layers.index(name) for name in groups]
        self._gradients: torch.Tensor | None = None
        self._before: list[torch.Tensor] | None = None

    def before_update(self, update: bool = True, scale: float = 1.0) -> torch.Tensor:
        """Measure the gradients and, for the update norm, keep a copy of the parameters; return the global norm.

        The norm returned is a 0-dim tensor on the device: clip by it and no norm is computed twice. Without `update`
        nothing is copied and `after_update` says nothing of the update. `scale` is the loss scale that is still in
        the gradients.
        """
        import torch

        nothing = torch.zeros((), device=self.parameters[0].device)
        self._gradients = _squares([nothing if p.grad is None else p.grad for p in self.parameters]) / scale**2
        self._before = self._copy() if update else None
        return self._gradients.sum().sqrt()

    def after_update(self, layers: bool = True, **extra: Any) -> dict[str, Any]:
        """Return `grad_norm`, `param_norm`, `update_norm`, `update_ratio` and `layers` of the update just made.

        `extra` are further 0-dim tensors, the loss for example: they come to the host in the same transfer.
        """
        import torch

        assert self._gradients is not None, "call before_update first"
        names, tensors = ["grad_norm", "param_norm"], list(self.parameters)
        if self._before is not None:
            with torch.no_grad():
                torch._foreach_sub_(self._before, self.parameters)
            names.append("update_norm")
            tensors += self._before
        device = self._gradients.device
        scalars = [torch.as_tensor(value, device=device).detach().float().reshape(1) for value in extra.values()]
        numbers = torch.cat([self._gradients, _squares(tensors), *scalars]).tolist()  # the one transfer
        size = len(self.parameters)
        rows = {name: numbers[i * size : (i + 1) * size] for i, name in enumerate(names)}
        record: dict[str, Any] = dict(zip(extra, map(_short, numbers[len(rows) * size :])))
        record |= _with_ratio({name: _root(row) for name, row in rows.items()})
        if layers:
            record["layers"] = self._by_layer(rows)
        return record

    def _copy(self) -> list[torch.Tensor]:
        import torch

        if self._before is None or len(self._before) != len(self.parameters):
            return [p.detach().clone() for p in self.parameters]
        with torch.no_grad():
            torch._foreach_copy_(self._before, self.parameters)
        return self._before

    def _by_layer(self, rows: dict[str, list[float]]) -> dict[str, dict[str, float]]:
        sums = {name: [0.0] * len(self.layers) for name in rows}
        for name, row in rows.items():
            totals = sums[name]
            for group, square in zip(self._group, row):
                totals[group] += square
        layers: dict[str, dict[str, float]] = {}
        for i, layer in enumerate(self.layers):
            norms = _with_ratio({name: _short(totals[i] ** 0.5) for name, totals in sums.items()})
            norms.pop("update_norm", None)
            layers[layer] = norms
        return layers


def _squares(tensors: list[torch.Tensor]) -> torch.Tensor:
    """Return the squared L2 norm of each tensor: float32[n], one value per tensor, on the device of the first."""
    import torch

    with torch.no_grad():
        norms: list[Any] = list(torch._foreach_norm(tensors, 2, dtype=torch.float32))
    if hasattr(norms[0], "full_tensor"):
        norms = [norm.full_tensor() for norm in norms]  # sharded by FSDP
    if any(norm.device != norms[0].device for norm in norms):  # a model spread over several devices
        norms = [norm.to(norms[0].device) for norm in norms]
    return torch.stack(norms).square()


def _root(squares: Iterable[float]) -> float:
    return _short(sum(squares) ** 0.5)


def _short(value: float) -> float:
    """Round to the precision of float32, which keeps the log small."""
    return float(f"{value:.7g}")


def _with_ratio(norms: dict[str, float]) -> dict[str, float]:
    if "update_norm" in norms:
        norms["update_ratio"] = _short(norms["update_norm"] / max(norms["param_norm"], 1e-12))
    return norms
