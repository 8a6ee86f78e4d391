"""What people export from Weights & Biases: the CSV of a chart, and the history of a run as CSV."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
from msgspec.structs import replace

from lmdiag.errors import UnreadableLog
from lmdiag.readers.csv import table as csv_table
from lmdiag.readers.csv.header import header_names
from lmdiag.readers.rawlog import Column, RawLog, Source
from lmdiag.readers.trackers.names import history_conventions

CHART, HISTORY = "wandb-chart-csv", "wandb-history-csv"
_ENDING = re.compile(r"__(MIN|MAX)$")
_TIME_AXES = re.compile(r"(relative|wall) time", re.IGNORECASE)


def can_read(name: str, head: bytes) -> bool:
    """Tell whether the header is that of a chart (`run - metric__MIN`) or of a history (`_step`, `_runtime`)."""
    names = header_names(head)
    return _is_chart(names) or _is_history(names)


def _is_chart(names: list[str]) -> bool:
    curves = [name for name in names[1:] if " - " in name]
    return bool(curves) and len(curves) == len(names) - 1 and any(_ENDING.search(name) for name in curves)


def _is_history(names: list[str]) -> bool:
    return "_step" in names and bool({"_runtime", "_timestamp"} & set(names))


def read(source: Source) -> list[RawLog]:
    """Read the history of one run, or one chart with a curve for each run."""
    (log,) = csv_table.read(source)
    if _is_history(header_names(source.head)):
        return [replace(history_conventions(log), format=HISTORY)]
    runs = list(dict.fromkeys(_run_of(name) for name in log.columns if " - " in name))
    if not runs:
        raise UnreadableLog(
            f"{source.name}: no run has a value in this chart", "export the chart again, with the runs visible"
        )
    return [_chart(log, run, len(runs)) for run in runs]


def _run_of(name: str) -> str:
    """Return the run of a curve; its name may itself hold ` - `.

    >>> _run_of("a - b - train/loss__MAX")
    'a - b'
    """
    return _ENDING.sub("", name).rpartition(" - ")[0]


def _chart(log: RawLog, run: str, runs: int) -> RawLog:
    """Return the curves of one run: means of buckets of steps, with the highest value of each bucket beside them."""
    curves = {
        name.removeprefix(f"{run} - "): c for name, c in log.columns.items() if " - " in name and _run_of(name) == run
    }
    axis = next((name for name in log.columns if " - " not in name), "")
    columns = {name: column for name, column in curves.items() if not _same_as_mean(name, curves)}
    sampled = sorted({_ENDING.sub("", name) for name in columns if _ENDING.search(name)})
    if axis:
        columns = {axis: log.columns[axis], **columns}
    unused = {
        f"{run} - {name}" if runs > 1 else name: "it says the same as the mean" for name in set(curves) - set(columns)
    }
    counts = "_step" if _TIME_AXES.match(axis) and "_step" in columns else axis
    return replace(
        log,
        format=CHART,
        name=f"{log.name}#{run}" if runs > 1 else log.name,
        columns=columns,
        step_column=counts if not _TIME_AXES.match(counts) else "",
        step_kind="epoch" if counts == "epoch" else "step",
        names={name: None for name in columns if name.startswith("_step__") or (name == axis and counts != axis)},
        reductions=dict.fromkeys(sampled, "window_mean"),
        notes=(*log.notes, *_note(sampled)),
        unused={**log.unused, **unused},
    )


def _note(sampled: list[str]) -> list[str]:
    if not sampled:
        return []
    return [
        f"The chart shows means of several steps for {', '.join(sampled)}; the __MAX curves keep the highest values."
    ]


def _same_as_mean(name: str, curves: Mapping[str, Column]) -> bool:
    """Tell whether a minimum or maximum says no more than the mean: a bucket held one value each time."""
    mean = curves.get(_ENDING.sub("", name))
    column = curves[name]
    if not _ENDING.search(name) or mean is None:
        return False
    return np.array_equal(mean.rows, column.rows) and np.array_equal(mean.values, column.values, equal_nan=True)
