"""In which numbers a model computes: fp32, or bf16 and fp16 by autocast, where the device has the kernels."""

from __future__ import annotations

import contextlib
import re
from typing import Any

import torch

PRECISIONS = {"bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(settings: Any, device: torch.device) -> Any:
    """Return the context in which the forward pass computes in the precision asked for."""
    if settings.precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=PRECISIONS[settings.precision])


def check_precision(name: str, model: torch.nn.Module, settings: Any, device: torch.device) -> None:
    """Raise ValueError, in words, where the device has no kernel for this model in the precision asked for."""
    if settings.precision == "fp32":
        return
    # One pass forward and back says it for every model and device; the generators stay as they are.
    ids = torch.zeros(1, settings.context, dtype=torch.int64, device=device)
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            with autocast(settings, device):
                logits, _ = model.train()(ids, None)
            logits.float().sum().backward()
    except RuntimeError as error:
        other = "fp32" if settings.precision == "bf16" else "bf16, which needs no loss scale, or fp32"
        reason = re.split(r"[.\n]", str(error))[0]
        raise ValueError(
            f"--precision {settings.precision}: this {device.type} cannot train {name} in it ({reason}). "
            f"Try --precision {other}, or another --device"
        ) from error
    model.zero_grad(set_to_none=True)
