"""Catalyst: `csv_logger/<loader>.csv` and `tensorboard/<loader>/`, with means of epochs, and of batches where those are asked for."""

from __future__ import annotations

import re
from pathlib import PurePath

from msgspec.structs import replace

from lmdiag.naming import SPLITS
from lmdiag.readers.rawlog import RawLog

_TAG = re.compile(r"(?P<loader>[^/]+)/(?P<metric>.+)/(?P<unit>epoch|batch)")


def tells(log: RawLog) -> bool:
    """Tell whether this is a file of its CSV logger, or every tag ends with the unit that it is of."""
    if log.format == "csv":
        return PurePath(log.source).parent.name == "csv_logger" and next(iter(log.columns), "") == "step"
    tags = [name for name in log.columns if "/" in name]
    return bool(tags) and all(map(_TAG.fullmatch, tags))


def understood(log: RawLog) -> RawLog:
    """Return the log with epochs as its steps; where batches of the training were logged, these count, and epochs are left to evaluations."""
    units = {name: match for name in log.columns if (match := _TAG.fullmatch(name))}
    by_batch = any(match["unit"] == "batch" for match in units.values())
    if not by_batch:
        named = {name: f"{_set(match['loader'])}{match['metric']}" for name, match in units.items()}
        return replace(log, step_kind="epoch", names={**log.names, **named})
    names: dict[str, str | None] = {}
    for name, match in units.items():
        evaluated = _set(match["loader"])
        wanted = match["unit"] == ("epoch" if evaluated else "batch")
        names[name] = f"{evaluated}{match['metric']}" if wanted else None
    other = "it is logged by the epoch as well, or by the batch"
    return replace(
        log,
        names={**log.names, **names},
        unused={**log.unused, **{name: other for name, metric in names.items() if metric is None}},
        notes=(*log.notes, "Catalyst counts the batches of evaluations among the steps."),
    )


def _set(loader: str) -> str:
    split = SPLITS.get(loader.rstrip("0123456789_"), loader)
    return f"{split}/" if split else ""
