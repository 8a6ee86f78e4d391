"""Catalyst: `csv_logger/<loader>.csv` and `tensorboard/<loader>/`, with means of epochs, and of batches where those are asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePath

import numpy as np
from msgspec.structs import replace

from lmdiag.naming import SPLITS
from lmdiag.readers.rawlog import Column, RawLog

_TAG = re.compile(r"(?P<loader>[^/]+)/(?P<metric>.+)/(?P<unit>epoch|batch)")


def tells(log: RawLog) -> bool:
    """Tell whether this is a file of its CSV logger, or every tag ends with the unit that it is of."""
    if log.format == "csv":
        return PurePath(log.source).parent.name == "csv_logger" and next(iter(log.columns), "") == "step"
    tags = [name for name in log.columns if "/" in name]
    return bool(tags) and all(map(_TAG.fullmatch, tags))


def understood(log: RawLog) -> RawLog:
    """Return the log with epochs as its steps; where batches of the training were logged, samples are, and epochs are left to evaluations."""
    units = {name: match for name in log.columns if (match := _TAG.fullmatch(name))}
    log = _without_spread(log, {name: match["metric"] for name, match in units.items()} or {n: n for n in log.columns})
    trained = [name for name, match in units.items() if match["unit"] == "batch" and not _set(match["loader"])]
    if not trained:
        named = {name: f"{_set(match['loader'])}{match['metric']}" for name, match in units.items()}
        return replace(log, step_kind="epoch", names={**named, **log.names})
    names: dict[str, str | None] = {}
    columns = dict(log.columns)
    for name, match in units.items():
        evaluated = _set(match["loader"])
        wanted = match["unit"] == ("epoch" if evaluated else "batch")
        names[name] = f"{evaluated}{match['metric']}" if wanted else None
        if wanted and evaluated:
            batches = log.columns.get(f"{name.removesuffix('epoch')}batch", Column(np.empty(0, np.int64), np.empty(0)))
            columns[name] = _behind_its_batches(log, name, log.columns[trained[0]].rows, batches.rows)
    other = "it is logged by the epoch as well, or by the batch"
    return replace(
        log,
        columns=columns,
        step_kind="samples",
        names={**names, **log.names},
        unused={**{name: other for name, metric in names.items() if metric is None}, **log.unused},
        notes=(*log.notes, "Catalyst counts the samples of evaluations among those of the training."),
    )


def _without_spread(log: RawLog, metrics: Mapping[str, str]) -> RawLog:
    """Return the log without the mean and the standard deviation over the batches that stand beside a mean over the samples."""
    spread = {name for name, metric in metrics.items() if metric.endswith(("/mean", "/std"))}
    spread = {name for name in spread if metrics[name].rpartition("/")[0] in metrics.values()}
    unused = dict.fromkeys(spread, "it is of the batches, beside that of the samples")
    return replace(log, names={**log.names, **dict.fromkeys(spread)}, unused={**log.unused, **unused})


def _behind_its_batches(log: RawLog, name: str, trained: np.ndarray, evaluated: np.ndarray) -> Column:
    """Return a column of epochs 1, 2, … in the rows of the last batches of the evaluations in them, between which lie those of the training."""
    column = log.columns[name]
    epochs = log.columns[log.step_column].values[column.rows].astype(np.int64)
    between = np.searchsorted(trained, evaluated)
    lasts = evaluated[np.flatnonzero(np.diff(between, append=-1))]
    known = (epochs >= 1) & (epochs <= len(lasts))
    return Column(lasts[epochs[known] - 1], column.values[known])


def _set(loader: str) -> str:
    split = SPLITS.get(loader.rstrip("0123456789_"), loader)
    return f"{split}/" if split else ""
