"""Polyaxon's traceml: a folder with `events/metric/`, in which each metric has a `.plx` file, and `run.plx.json`."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from lmdiag.readers.numbers import counted
from lmdiag.readers.rawlog import RawLog, Source
from lmdiag.readers.trackers.metrics import tracked_run
from lmdiag.run import Skipped
from lmdiag.sources.local import files_in

FORMAT = "polyaxon"
OWNS_SUBFOLDERS = True
_METRICS, _RUN = "events/metric/", "run.plx.json"
_ENDS = {"succeeded": "FINISHED", "failed": "FAILED", "stopped": "KILLED"}


def can_read(name: str, head: bytes) -> bool:
    """Tell whether a folder has the files of metrics."""
    files = head.decode("utf-8", "replace").split("\n") if name.endswith("/") else []
    return any(file.startswith(_METRICS) and file.endswith(".plx") for file in files)


def read(source: Source) -> list[RawLog]:
    """Read the files of all metrics as one run, with its inputs."""
    assert source.path is not None
    skipped: list[Skipped] = []
    metrics = {
        path.stem.replace("__", "/"): _points(path, skipped) for path in files_in(source.path / _METRICS, "*.plx")
    }
    run = _object(source.path / _RUN)
    inputs = run.get("inputs")
    status = _ENDS.get(str(run.get("status")))
    settings = inputs if isinstance(inputs, dict) else {}
    return [tracked_run(FORMAT, str(run.get("name") or source.name), source.name, metrics, settings, status, skipped)]


def _points(path: Path, skipped: list[Skipped]) -> list[tuple[float, float, int]]:
    """Return the (time in ms, value, step) of the lines `step|timestamp|metric` below the header."""
    points = []
    for number, line in enumerate(Source(path.as_posix(), path).text.splitlines()[1:], 2):
        step, _, rest = line.partition("|")
        time, _, value = rest.partition("|")
        try:
            points.append((1000 * datetime.fromisoformat(time).timestamp(), float(value), counted(step or 0)))
        except (ValueError, OverflowError):
            skipped.append(Skipped(number, f"{path.name}: not a step, a time and a value: {line[:40]!r}"))
    return points


def _object(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(Source(path.as_posix(), path).text) if path.is_file() else {}
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
