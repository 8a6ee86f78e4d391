"""What a column of a printed log stands for where no name says it; each guess is said in a note."""

from __future__ import annotations

import numpy as np

from lmdiag.readers.text.names import canonical
from lmdiag.readers.text.table import EPOCH, POSITION, STEP, Table

SHORT_FOR_LOSS = frozenset({"l", "tl", "obj", "objective"})
FEWEST = 3


def guess_step(table: Table) -> None:
    """Take a count that grows with every record for the step where nothing else says where a record stands."""
    if any(name in table.columns for name in (STEP, EPOCH, POSITION)) or len(table.lines) < FEWEST:
        return
    for name, (rows, values) in table.columns.items():
        numbers = np.asarray(values, float)
        if len(rows) == len(table.lines) and canonical(name) is None and _counts(numbers):
            table.columns[STEP] = table.columns.pop(name)
            table.notes.append(f'"{name}" grows with every record and was taken for the step')
            return


def _counts(numbers: np.ndarray) -> bool:
    return bool((np.diff(numbers) > 0).all() and (numbers == np.floor(numbers)).all() and numbers[0] >= 0)


def guess_loss(table: Table) -> None:
    """Take a column such as `L` for the loss where none is called one; drop the records if it cannot be one."""
    metrics = {(canonical(name) or ("", 1.0))[0] for name in table.columns}
    short = [name for name in table.columns if name.lower() in SHORT_FOR_LOSS]
    if not short or not metrics.isdisjoint({"loss", "train/loss", "ppl", "bpb", "bpc"}):
        return
    rows, values = table.columns[short[0]]
    if len(rows) >= FEWEST and any(value != int(value) for value in values if np.isfinite(value)):
        table.names[short[0]] = "loss"
        table.notes.append(f'no column is called a loss; "{short[0]}" was taken for it')
    elif not any(metric.rpartition("/")[2] in ("loss", "accuracy", "lr", "grad_norm") for metric in metrics):
        table.keep(np.zeros(len(table.lines), bool))
