"""Rows in JSON Lines, tables, event files and prints whose columns tell which program logged them, and so what they mean."""

from __future__ import annotations

from importlib import import_module

from lmdiag.readers.rawlog import RawLog

# The module of each program, and what its logs have at least one of, among their names of columns and their format, or "/"
# for a name with a slash: others do without its import. `tells` says whether a log is of the program, `understood` what it means.
PROGRAMS = {
    "mmengine_rows": ("iter",),
    "ray_tune": ("time_this_iter_s",),
    "catalyst": ("/", "csv"),
    "sentence_transformers": ("steps",),
    "spacy": ("score", "SCORE"),
    "fastai": ("valid_loss",),
    "flair": ("LEARNING_RATE", "epoch loss"),
}


def understood(log: RawLog) -> RawLog:
    """Return a log with the conventions of the program that wrote it, as it is where the columns tell of none."""
    if log.spans:  # converted, and settled before
        return log
    seen = {*log.columns, log.format, *("/" for name in log.columns if "/" in name)}
    for name, marks in PROGRAMS.items():
        if not seen.isdisjoint(marks):
            program = import_module(f"lmdiag.readers.trackers.{name}")
            if program.tells(log):
                found: RawLog = program.understood(log)
                return found
    return log
