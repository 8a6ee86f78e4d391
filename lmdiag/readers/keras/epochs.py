"""What the histories of Keras have in common: their names, and rows that are epochs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec.structs import replace

from lmdiag.naming import spelling
from lmdiag.readers.rawlog import Column, RawLog

INDEX_NAMES = ("", "Unnamed: 0", "index")


def is_history(names: Sequence[str]) -> bool:
    """Tell whether these are the names of a Keras history: `loss`, `val_loss`, and other metrics in both forms.

    >>> is_history(["loss", "accuracy", "val_loss", "val_accuracy"]), is_history(["iters", "loss", "val_loss"])
    (True, False)
    """
    plain = {n for n in names if not n.startswith("val_")} - {"lr", "learning_rate"}
    measured = {n.removeprefix("val_") for n in names if n.startswith("val_")}
    return "loss" in plain and (
        plain == measured or (not measured and len(plain) > 1 and all(spelling(n).known for n in plain))
    )


def by_epoch(log: RawLog) -> RawLog:
    """Return a log of epochs with the conventions of Keras; rows without a number are numbered."""
    column = next((name for name in ("epoch", *INDEX_NAMES, "column 1") if name in log.columns), "epoch")
    columns = dict(log.columns)
    if column not in columns:
        columns[column] = Column(np.arange(log.n_rows), np.arange(log.n_rows, dtype=np.float64))
    from_one = columns[column].values[:1].tolist() == [1.0]  # Keras begins with 0, people begin with 1
    means = [name for name in columns if name != column and not name.startswith("val_") and spelling(name).name != "lr"]
    return replace(
        log,
        columns=columns,
        step_column=column,
        step_kind="epoch",
        step_offset=0 if from_one else 1,
        reductions=dict.fromkeys(means, "epoch_mean"),
    )
