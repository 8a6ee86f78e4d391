"""Metrics that a tracker stores one value at a time -> RawLog: what the stores of trackers have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from msgspec.structs import replace

from lmdiag.readers.rawlog import RawLog
from lmdiag.readers.tensorboard.event_rows import Points, rows_of
from lmdiag.readers.trackers.names import history_conventions
from lmdiag.run import Event, Skipped

_ENDS = {
    "3": "completed",
    "FINISHED": "completed",
    "4": "crashed",
    "FAILED": "crashed",
    "5": "killed",
    "KILLED": "killed",
}


def tracked_run(
    format: str,
    name: str,
    source: str,
    metrics: Mapping[str, Sequence[tuple[float, float, int]]],
    settings: Mapping[str, Any],
    status: Any,
    skipped: Sequence[Skipped] = (),
    timed: bool = True,
) -> RawLog:
    """Return the run with these {metric: [(time in ms, value, step)]}, in the order they were written.

    Where it is not `timed`, the times only say the order.
    """
    points = [(i, *value) for i, values in enumerate(metrics.values()) for value in values]
    ids, times, values, steps = (np.array(part) for part in zip(*points)) if points else (np.empty(0),) * 4
    of_metrics = points_by_time(list(metrics), ids, times, values, steps)
    return logged_run(format, name, source, of_metrics, settings, status, skipped, timed)


def points_by_time(
    names: list[str], ids: np.ndarray, times: np.ndarray, values: np.ndarray, steps: np.ndarray
) -> Points:
    """Return values of the metrics `names[ids]`, each with its time in ms and its step, in the order they were written."""
    if (times[1:] < times[:-1]).any():  # most come in order, and copies of long ones take memory
        order = np.argsort(times, kind="stable")
        ids, times, values, steps = ids[order], times[order], values[order], steps[order]
    return Points(
        names,
        ids.astype(np.int64, copy=False),
        steps.astype(np.int64, copy=False),
        times / 1000,
        values.astype(np.float64, copy=False),
        np.zeros(1, np.int64),
    )


def logged_run(
    format: str,
    name: str,
    source: str,
    points: Points,
    settings: Mapping[str, Any],
    status: Any,
    skipped: Sequence[Skipped] = (),
    timed: bool = True,
) -> RawLog:
    """Return the run with these values, in the order they were written."""
    points = points.without({name for name in points.names if name.startswith(("system/", "system."))})
    columns, n_rows = rows_of(points)
    if columns and not timed:
        columns.popitem()  # the times
    notes = () if n_rows else ("The run has no metrics.",)
    if n_rows > 1 and (points.steps == points.steps[0]).all():  # the default where `step` was not given
        columns.pop(next(iter(columns)))
        notes = ("All values were logged without a step; they are counted instead.",)
    ended = _ENDS.get(str(status))
    log = RawLog(
        format,
        name,
        columns,
        n_rows,
        source=source,
        settings=settings,
        events=(Event("end", message=f"status {ended}", fields={"status": ended}),) if ended else (),
        notes=notes,
        skipped=tuple(skipped),
    )
    return replace(history_conventions(log), step_column="step" if "step" in columns else "")
