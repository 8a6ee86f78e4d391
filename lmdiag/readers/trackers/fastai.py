"""fastai: the table that a `Learner` prints, and that its `CSVLogger` writes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from msgspec.structs import replace

from lmdiag.naming import is_step_name, spelling
from lmdiag.readers.rawlog import RawLog

_LOSSES = {"train_loss", "valid_loss"}


def tells(log: RawLog) -> bool:
    """Tell whether a row is an epoch with both losses, and with its time at the end."""
    timed = any("time" in names for names in (log.columns, log.texts, log.unused))
    by_epoch = log.step_kind == "epoch" or ("epoch" in log.columns and not any(map(is_step_name, log.columns)))
    return log.columns.keys() >= _LOSSES and timed and by_epoch


def understood(log: RawLog) -> RawLog:
    """Return the log with its metrics as those of the validation set, on which a `Learner` computes them all."""
    named = {
        name: spelling(name).name
        for name in log.columns
        if name not in (*_LOSSES, "epoch", "time") and not is_step_name(name)
    }
    own = {name: f"val/{metric}" for name, metric in named.items() if "/" not in metric and metric != "lr"}
    reductions = {"train_loss": "ema", **log.reductions}
    return replace(log, names={**own, **log.names}, reductions=reductions, notes=(*log.notes, *_notes(log)))


def _notes(log: RawLog) -> Iterator[str]:
    finite, evaluated = (np.isfinite(log.columns[name].values) for name in ("train_loss", "valid_loss"))
    if evaluated[-1] and not finite[-1]:  # findings/fastai-training-loss-stays-nan.sh
        yield "fastai logs a running mean of the training loss: after one NaN it stays NaN, though the model may be sound again."
