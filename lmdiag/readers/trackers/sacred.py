"""Sacred's `metrics.json`: {metric: {"steps": […], "timestamps": […], "values": […]}}, with `config.json` and `run.json` beside it."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

from lmdiag.errors import UnreadableLog
from lmdiag.readers.numbers import counted
from lmdiag.readers.rawlog import RawLog, Source
from lmdiag.readers.trackers.metrics import tracked_run
from lmdiag.run import Skipped

FORMAT = "sacred"
_BEGIN = re.compile(rb'\{\s*"[^"]+": \{\s*"steps": \[[\s\d,.]*(\],\s*"timestamps": \[|$)')
_ENDS = {"COMPLETED": "FINISHED", "FAILED": "FAILED", "INTERRUPTED": "KILLED"}


def can_read(name: str, head: bytes) -> bool:
    """Tell whether an object begins with a metric and the steps of its values."""
    return _BEGIN.match(head) is not None


def read(source: Source) -> list[RawLog]:
    """Read all metrics, the configuration and how the run ended."""
    try:
        stored = json.loads(source.text)
    except (ValueError, RecursionError) as error:
        raise UnreadableLog(
            f"{source.name} is cut off or damaged: {error}", "check that it was copied completely"
        ) from error
    skipped: list[Skipped] = []
    metrics = {str(name): _points(str(name), held, skipped) for name, held in stored.items()}
    run = _beside(source, "run.json")
    experiment = run.get("experiment")
    name = experiment.get("name") if isinstance(experiment, dict) else None
    status = _ENDS.get(str(run.get("status")))
    settings = _beside(source, "config.json")
    return [tracked_run(FORMAT, str(name or source.name), source.name, metrics, settings, status, skipped)]


def _points(name: str, held: Any, skipped: list[Skipped]) -> list[tuple[float, float, int]]:
    """Return the (time in ms, value, step) of a metric; a value of NumPy's is an object with the value in it."""
    points = []
    try:
        lists = list(zip(held["steps"], held["timestamps"], held["values"]))
    except (KeyError, TypeError):
        skipped.append(Skipped(0, f"{name}: no steps, times and values"))
        return []
    for step, time, value in lists:
        try:
            number = value["value"] if isinstance(value, dict) else value
            moment = datetime.fromisoformat(time).replace(tzinfo=UTC).timestamp()
            points.append((1000 * moment, float(number), counted(step)))
        except (ValueError, TypeError, KeyError, OverflowError):
            skipped.append(Skipped(0, f"{name}: not a value of a step: {str(value)[:40]!r}", unit="value"))
    return points


def _beside(source: Source, name: str) -> dict[str, Any]:
    path = source.path.with_name(name) if source.path else None
    try:
        found = json.loads(Source(path.as_posix(), path).text) if path and path.is_file() else {}
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
