"""What a program adds up or averages from the beginning of the training -> what belongs to each record.

Losses, such as gensim's `get_latest_training_loss()`, and the speed of the Trainer (findings/trainer-speed-is-a-mean-since-its-start.sh).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from msgspec.structs import replace

from lmdiag.naming import spelling
from lmdiag.readers.rawlog import Column, RawLog

FEWEST = 4
SUMMED = 100.0  # nats: far more than guessing a token costs, so that it is the sum over many
LIKE_THE_SECOND = 8.0  # times what the second record added, the first may be: a loss falls most in the beginning
STEADY = 50.0  # times the least that a record added, the most may be
# Of the Trainer, since it started
SPEED, CLOCK, TOKENS = "train_tokens_per_second", "train_runtime", "num_input_tokens_seen"


def differenced(raw: RawLog) -> RawLog:
    """Return the log with what belongs to each record in place of running totals of the loss and of a mean speed, and notes that say so."""
    if raw.spans:
        return raw
    totals = [name for name, column in raw.columns.items() if _is_loss(raw, name) and is_running_total(column.values)]
    found = {name: _added(raw.columns[name]) for name in totals}
    notes = [f'"{name}" adds up from the beginning; what each record added was taken.' for name in totals]
    if speed := _speed(raw.columns):
        found[SPEED] = speed
        notes.append(f'"{SPEED}" is a mean since the start; the speed since the record before was taken.')
    return replace(raw, columns={**raw.columns, **found}, notes=(*raw.notes, *notes)) if found else raw


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


def _speed(columns: Mapping[str, Column]) -> Column | None:
    """Return the speed of the Trainer since the record before; None where the log lacks it, or rounds the clock."""
    mean, clock, tokens = (columns.get(name) for name in (SPEED, CLOCK, TOKENS))
    if mean is None or clock is None or tokens is None:
        return None
    timed, counted = (np.isin(column.rows, mean.rows) for column in (clock, tokens))
    seconds, count = clock.values[timed], tokens.values[counted]
    if not len(seconds) == len(count) == len(mean.rows) or all(float(f"{value:.4g}") == value for value in seconds):
        return None  # as it prints them
    passed, done = np.diff(seconds, prepend=0.0), np.diff(count, prepend=0.0)
    begins = (passed <= 0) | (done <= 0)  # where it was started anew
    begins[0] = True
    return Column(mean.rows, np.where(begins, mean.values, done / np.where(begins, 1.0, passed)))


def _added(column: Column) -> Column:
    return Column(column.rows, np.diff(column.values, prepend=0.0))
