"""Lightning's `CSVLogger`: `metrics.csv`, one sparse row per log call, with `hparams.yaml` beside it."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from msgspec.structs import replace

from lmdiag.naming import spelling
from lmdiag.readers.csv import table as csv_table
from lmdiag.readers.csv.header import header_names
from lmdiag.readers.rawlog import Column, RawLog, Source
from lmdiag.readers.trackers.names import translations
from lmdiag.readers.trackers.plain_yaml import plain_yaml
from lmdiag.run import Skipped

FORMAT = "lightning-csv"
MANY = 2  # steps that show how often a row is written
_FABRIC = {"iter", "iter_time"}  # columns of Fabric's logger in litgpt
_TRAINER = {"eval_runtime", "train_runtime", "total_flos"}  # of a table made from the history of Hugging Face's Trainer


def can_read(name: str, head: bytes) -> bool:
    """Tell whether the header has `step` and `epoch` and is sorted as Lightning sorts it, or the file has its name."""
    names = header_names(head)
    lightning = names == sorted(names) or PurePath(name).name == "metrics.csv"
    return lightning and {"step", "epoch"} <= set(names) and not _TRAINER & set(names)


def read(source: Source) -> list[RawLog]:
    """Read all rows; Lightning's `step` counts the optimizer steps done before the row's batch."""
    (log,) = csv_table.read(source)
    log = replace(log, format=FORMAT, settings=_hyperparameters(source.path))
    if set(log.columns) >= _FABRIC:
        note = "Fabric counts micro-batches: with gradient accumulation these are not optimizer steps."
        return [replace(log, step_column="iter", notes=(*log.notes, note))]
    names, reductions = _conventions(log.columns)
    log = _without_evaluation_batches(log)
    batches = {name: "it belongs to single evaluation batches" for name, metric in names.items() if metric is None}
    unused = {**log.unused, **batches}
    offset = 0 if _counts_done(log) else 1
    return [replace(log, step_column="step", step_offset=offset, names=names, reductions=reductions, unused=unused)]


def _counts_done(log: RawLog) -> bool:
    """Tell whether the steps are those done, as in tables that others wrote: 50, 100, 150, where Lightning writes 49, 99, 149."""
    if "step" not in log.columns:  # a damaged table may have none left
        return False
    steps = np.unique(log.columns["step"].values)
    every = float(np.median(np.diff(steps))) if len(steps) > MANY else 1.0
    return every > 1 and float((steps % every == 0).mean()) > 0.5


def _conventions(columns: Collection[str]) -> tuple[dict[str, str | None], dict[str, str]]:
    """Tell apart the values of steps and their means over epochs, which stand under one name with two endings."""
    names = translations(columns)
    reductions = {}
    for column in columns:
        if not column.endswith("_epoch"):
            continue
        reductions[column] = "epoch_mean"
        plain, metric = column.removesuffix("_epoch"), spelling(column.removesuffix("_epoch"))
        if metric.known and f"{plain}_step" in columns:
            split, _, own = metric.name.rpartition("/")
            names[column] = f"{split or 'train'}/{own}"
            names[f"{plain}_step"] = None if split else own
    return names, reductions


def _without_evaluation_batches(log: RawLog) -> RawLog:
    """Drop the rows of single evaluation batches: they count these batches, not steps."""
    others = [name for name in log.columns if name not in ("step", "epoch") and not _of_evaluation_batch(name)]
    by_batch = [name for name in log.columns if _of_evaluation_batch(name)]
    if not by_batch:
        return log
    kept = np.zeros(log.n_rows, bool)
    for name in others:
        kept[log.columns[name].rows] = True
    place = np.cumsum(kept) - 1
    columns = {}
    for name, column in log.columns.items():
        inside = kept[column.rows]
        columns[name] = Column(place[column.rows[inside]], column.values[inside])
    dropped = Skipped(0, f"row of a single evaluation batch: {', '.join(sorted(by_batch))}", int((~kept).sum()))
    lines = None if log.lines is None else log.lines[kept]
    skipped = (*log.skipped, dropped) if dropped.count else log.skipped
    unused = {**log.unused, **dict.fromkeys([*by_batch, *log.texts], "it belongs to single evaluation batches")}
    return replace(log, columns=columns, n_rows=int(kept.sum()), lines=lines, texts={}, skipped=skipped, unused=unused)


def _of_evaluation_batch(name: str) -> bool:
    return bool(re.match(r"(val|valid|validation|test)\w*_step(/|$)", name))


def _hyperparameters(path: Path | None) -> dict[str, Any]:
    beside = path.parent / "hparams.yaml" if path is not None else None
    if beside is None or not beside.is_file():
        return {}
    return plain_yaml(beside.read_text("utf-8", "replace"))
