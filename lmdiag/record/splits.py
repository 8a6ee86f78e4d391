"""What trainers hand over to be logged: the numbers in it, and which are of evaluations, told by their names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_EVALUATION = re.compile(r"^(eval|evaluation|val|valid|validation|dev|test)[/_ .](?P<metric>.+)$")
_SPLITS = {"test": "test"}
_TAKEN = frozenset(("type", "step", "split", "time"))  # what a record says of itself; a metric may not replace it


def numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return the single numbers among what is logged, NumPy's and tensors of one element as Python's.

    Left out is what a record has already: `type`, `step`, `split` and `time`.

    >>> import numpy as np
    >>> numbers({"reward": np.float32(0.5), "step": 3, "note": "x", "several": np.zeros(2)})
    {'reward': 0.5}
    """
    found = {name: _number(value) for name, value in metrics.items() if name not in _TAKEN}
    return {name: value for name, value in found.items() if value is not None}


def _number(value: Any) -> float | None:
    if not isinstance(value, int | float) and hasattr(value, "item"):
        try:
            value = value.item()
        except (ValueError, TypeError, RuntimeError):  # of more than one element, or on no device
            return None
    return value if isinstance(value, int | float) else None


def by_split(metrics: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Return {split: {metric: number}}; what is no evaluation stands under "", and what is no number is left out.

    >>> by_split({"loss": 2.5, "val_loss": 2.6, "test/acc": 0.5, "note": "x"})
    {'': {'loss': 2.5}, 'val': {'loss': 2.6}, 'test': {'acc': 0.5}}
    """
    found: dict[str, dict[str, Any]] = {}
    for name, value in metrics.items():
        match = _EVALUATION.match(name)
        split = _SPLITS.get(match[1], "val") if match else ""
        found.setdefault(split, {})[match["metric"] if match else name] = value
    return {split: kept for split, measured in found.items() if (kept := numbers(measured))}
