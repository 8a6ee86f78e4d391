"""A loss that is added up from the beginning of the training, as gensim's `get_latest_training_loss()` is -> what each record added."""

from __future__ import annotations

import numpy as np
from msgspec.structs import replace

from lmdiag.naming import spelling
from lmdiag.readers.rawlog import Column, RawLog

FEWEST = 4
SUMMED = 100.0  # nats: far more than guessing a token costs, so that it is the sum over many
LIKE_THE_SECOND = 8.0  # times what the second record added, the first may be: a loss falls most in the beginning
STEADY = 50.0  # times the least that a record added, the most may be


def differenced(raw: RawLog) -> RawLog:
    """Return the log with what each record added in place of running totals of the training loss, and a note that says so."""
    totals = [name for name, column in raw.columns.items() if _is_loss(raw, name) and is_running_total(column.values)]
    if not totals or raw.spans:
        return raw
    columns = {**raw.columns, **{name: _added(raw.columns[name]) for name in totals}}
    notes = (f'"{name}" adds up from the beginning; what each record added was taken.' for name in totals)
    return replace(raw, columns=columns, notes=(*raw.notes, *notes))


def is_running_total(values: np.ndarray) -> bool:
    """Tell whether values are sums over all records so far: each adds about as much, and the first is what it added itself.

    >>> is_running_total(np.array([5200.0, 7600, 9300, 11400])), is_running_total(np.array([5200.0, 5300, 5400, 5500]))
    (True, False)
    """
    if len(values) < FEWEST or not np.isfinite(values).all() or values[0] < SUMMED:
        return False
    added = np.diff(values)
    if added.min() <= 0 or added.max() > STEADY * added.min():
        return False
    return bool(added[0] / 2 <= values[0] <= LIKE_THE_SECOND * added[0])


def _is_loss(raw: RawLog, name: str) -> bool:
    return (raw.names.get(name, name) or "") == "loss" or (name not in raw.names and spelling(name).name == "loss")


def _added(column: Column) -> Column:
    return Column(column.rows, np.diff(column.values, prepend=0.0))
