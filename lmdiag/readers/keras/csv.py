"""Keras' `CSVLogger`, and histories that people save with pandas: one row per epoch."""

from __future__ import annotations

from msgspec.structs import replace

from lmdiag.naming import is_step_name
from lmdiag.readers.csv import table as csv_table
from lmdiag.readers.csv.header import header_names
from lmdiag.readers.keras.epochs import INDEX_NAMES, by_epoch, is_history
from lmdiag.readers.rawlog import RawLog, Source

FORMAT = "keras-csv"


def can_read(name: str, head: bytes) -> bool:
    """Tell whether the header is `epoch` and sorted names, or those of a Keras history with or without an index."""
    names = header_names(head)
    if not names or any(is_step_name(n) for n in names):
        return False
    if names[0] == "epoch":
        return "loss" in names and names[1:] == sorted(names[1:])
    return is_history(names[1:] if names[0] in INDEX_NAMES else names)


def read(source: Source) -> list[RawLog]:
    """Read one row per epoch, counted from 0; the training loss is the mean over the epoch while the weights change."""
    (log,) = csv_table.read(source)
    return [by_epoch(replace(log, format=FORMAT))]
