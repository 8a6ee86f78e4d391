"""What frameworks call their metrics in TensorBoard, Weights & Biases and MLflow, where `metrics.spelling` needs help.

The same names go to every tracker, so that the readers of all three share this page.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np
from msgspec.structs import replace

from lmdiag.naming import spelling, step_rank
from lmdiag.readers.rawlog import Column, RawLog

# A column whose name matches is another view of a column that is there too, or no measurement of the training.
_DROPPED = re.compile(r" vs (samples|tokens)$|^samples vs steps$|^hp_metric$|^system[/.]|^_wandb")

_RENAMED = (
    # Megatron-DeepSpeed puts a group in front of the names of Megatron-LM
    (r"lm-loss-validation/(?P<set>.+)/lm loss validation(?P<ppl> ppl)?", "val/loss"),
    (r"throughput", "tflops_per_device"),  # Megatron-LM
    (r"Train/Samples/(?:train_)?(?P<own>loss|lr|loss_scale)", ""),  # DeepSpeed's monitor
)
_PATTERNS = tuple((re.compile(pattern), name) for pattern, name in _RENAMED)
_SEVERAL_SETS = re.compile(r"^(?P<metric>.+)/dataloader_idx_(?P<number>\d+)$")  # Lightning
_SETS = {"valid": "val", "validation": "val"}


def translations(columns: Iterable[str]) -> dict[str, str | None]:
    """Return {column: canonical name, or None to drop it} for the columns that need it.

    >>> translations(["lm loss", "lm loss vs samples", "Train/Samples/lr", "my_metric"])
    {'lm loss vs samples': None, 'Train/Samples/lr': 'lr'}
    """
    names: dict[str, str | None] = {}
    for column in columns:
        if _DROPPED.search(column):
            names[column] = None
        else:
            name = _renamed(column)
            if name and name not in names.values():
                names[column] = name
    return names


def _renamed(column: str) -> str | None:
    for pattern, name in _PATTERNS:
        match = pattern.fullmatch(column)
        if match:
            return _of_set(name, match.groupdict())
    several = _SEVERAL_SETS.match(column)
    if several is None:
        return None
    split, slash, metric = spelling(several["metric"]).name.rpartition("/")
    return f"{split or 'val'}{several['number']}/{metric}" if slash else None


def _of_set(name: str, parts: dict[str, str | None]) -> str:
    if parts.get("own"):
        return str(parts["own"])
    split, slash, metric = name.rpartition("/")
    chosen = parts.get("set") or split
    return f"{_SETS.get(chosen, chosen)}/{'ppl' if parts.get('ppl') else metric}" if slash else name


def history_conventions(log: RawLog) -> RawLog:
    """Return a log of `wandb.log` calls and the like with its steps found: `_step` only counts the calls."""
    return replace(
        log,
        names=translations(log.columns),
        step_column=step_column(log.columns),
        reductions=reductions(log.columns, log.settings),
    )


def step_column(columns: Mapping[str, Column]) -> str:
    """Choose the column that counts training steps; "" where none but `_step`, the number of the call, is there.

    >>> step_column({"iter": Column(np.arange(2), np.array([0.0, 10])), "_step": Column(np.arange(2), np.arange(2.0))})
    'iter'
    """
    for _, name in sorted((rank, name) for name in columns if (rank := step_rank(name)) is not None):
        if name == "_step" or (len(columns[name].values) > 1 and _mostly_ascending(columns[name].values)):
            return name
    return ""


def _mostly_ascending(values: np.ndarray) -> bool:
    return bool(np.isfinite(values).all() and values[0] < values[-1] and np.mean(np.diff(values) < 0) < 0.02)


def reductions(columns: Collection[str], settings: Mapping[str, Any]) -> dict[str, str]:
    """Return which columns are means over the steps since the last record: the loss of the Hugging Face Trainer.

    >>> reductions(["train/loss", "train/learning_rate", "train/epoch"], {"logging_steps": 10})
    {'train/loss': 'window_mean'}
    """
    trainer = {"train/loss", "train/learning_rate", "train/epoch"} <= set(columns)
    return {"train/loss": "window_mean"} if trainer and settings.get("logging_steps") != 1 else {}
