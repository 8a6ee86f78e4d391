"""Tell the metrics of evaluations from those of training by their names, as Lightning, Keras and Accelerate hand them over."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_EVALUATION = re.compile(r"^(eval|evaluation|val|valid|validation|dev|test)[/_ .](?P<metric>.+)$")
_SPLITS = {"test": "test"}


def by_split(metrics: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return {split: {metric: number}}; what is no evaluation stands under "", and what is no number is left out.

    >>> by_split({"loss": 2.5, "val_loss": 2.6, "test/acc": 0.5, "note": "x"})
    {'': {'loss': 2.5}, 'val': {'loss': 2.6}, 'test': {'acc': 0.5}}
    """
    found: dict[str, dict[str, Any]] = {}
    for name, value in metrics.items():
        if isinstance(value, str) or not (isinstance(value, int | float) or hasattr(value, "item")):
            continue
        match = _EVALUATION.match(name)
        split = _SPLITS.get(match[1], "val") if match else ""
        found.setdefault(split, {})[match["metric"] if match else name] = value
    return found
