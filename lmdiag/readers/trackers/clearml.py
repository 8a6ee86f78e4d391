"""ClearML offline: `metrics.jsonl`, of which each line is a list of events, with `task.json` beside it; or a zip of both."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from msgspec.structs import replace

from lmdiag.naming import spelling
from lmdiag.readers.numbers import counted
from lmdiag.readers.rawlog import Column, RawLog, Source
from lmdiag.readers.trackers.metrics import tracked_run
from lmdiag.run import Skipped
from lmdiag.sources.decoding import as_text
from lmdiag.sources.zipped import MARK, members

FORMAT = "clearml"
OWNS_SUBFOLDERS = True
_FOLDER = re.compile(r"(?:^|.*/)offline-[0-9a-f]{32}/")
_ARCHIVE = re.compile(r"(?:^|.*/)offline-[0-9a-f]{32}\.zip")
_FILES = _METRICS, _TASK, _LOG = "metrics.jsonl", "task.json", "log.jsonl"
_EVENT = b'"type": "training_stats_scalar"'
_PLAIN_SECTIONS = ("General", "Args")  # what `connect` and argument parsers fill
_OF_THE_MACHINE = ":monitor:"
Metrics = dict[str, list[tuple[int, float, int]]]  # of each the times in ms, the values and the steps
_NO_STEP = -(2**31)  # of what `report_single_value` reports
_NEAR_ZERO = 0.1  # of the usual value: what comes so near may have reached it


def can_read(name: str, head: bytes) -> bool:
    """Tell whether a file begins with a list of events, or a folder has the name and the files of an offline session."""
    if name.endswith("/"):
        return bool(_FOLDER.fullmatch(name)) and b"\nmetrics.jsonl\n" in head and b"\ntask.json\n" in head
    if _ARCHIVE.fullmatch(name):
        return head.startswith(MARK)
    return head.startswith(b"[{") and _EVENT in head


def read(source: Source) -> list[RawLog]:
    """Read the scalars of a session, and its hyperparameters."""
    events, task = _files(source)
    skipped: list[Skipped] = []
    metrics: Metrics = {}
    for line, event in _events(events, skipped):
        take(metrics, event, line, skipped)
    return [log_of(task, source.name, metrics, skipped)]


def take(metrics: Metrics, event: dict[str, Any], line: int, skipped: list[Skipped]) -> None:
    """Add the value of an event to the metrics."""
    try:
        name = "/".join(part for part in (event["metric"], event["variant"]) if part)
        if not name.startswith(_OF_THE_MACHINE):
            point = counted(event.get("timestamp", 0)), float(event["value"]), counted(event["iter"])
            metrics.setdefault(name, []).append(point)
    except (KeyError, TypeError, ValueError, OverflowError):
        skipped.append(Skipped(line, f"not an event with a value: {str(event)[:40]!r}"))


def log_of(task: dict[str, Any], source: str, metrics: Metrics, skipped: list[Skipped], status: str = "") -> RawLog:
    """Return the run of a task."""
    name = str(task.get("name") or task.get("id") or source)
    curves = {metric: [p for p in points if p[2] != _NO_STEP] for metric, points in metrics.items()}
    single = {metric: p[1] for metric, points in metrics.items() for p in points if p[2] == _NO_STEP}
    kept = {metric: points for metric, points in curves.items() if points}
    log = _without_zeros_for_nan(tracked_run(FORMAT, name, source, kept, _settings(task), status, skipped))
    last = ", ".join(f"{metric} {value:.6g}" for metric, value in single.items())
    said = f"Values that were reported without a step stand on no curve; the last of each: {last}."
    return replace(log, notes=(*log.notes, said)) if single else log


def _events(text: str, skipped: list[Skipped]) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.splitlines(), 1):
        try:
            found = json.loads(line) if line.strip() else []
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, list):
            skipped.append(Skipped(number, f"not a list of events: {line[:40]!r}"))
            continue
        yield from ((number, e) for e in found if isinstance(e, dict) and e.get("type") == "training_stats_scalar")


def _files(source: Source) -> tuple[str, dict[str, Any]]:
    """Return the events, and what `task.json` says."""
    if source.head.startswith(MARK):
        held = members(source, _FILES)
        return as_text(held.get(_METRICS, b"")), _object(held.get(_TASK, b""))
    folder = source.path if source.is_folder else source.path.parent if source.path else None
    events = Source(source.name, folder / _METRICS) if source.is_folder and folder else source
    beside = folder / _TASK if folder else None
    return events.text, _object(Source(beside.as_posix(), beside).data) if beside and beside.is_file() else {}


def _object(stored: bytes) -> dict[str, Any]:
    try:
        found = json.loads(stored)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _settings(task: dict[str, Any]) -> dict[str, Any]:
    """Return the hyperparameters, {name: {"value": words}} in sections; those of the usual sections stand by themselves."""
    settings: dict[str, Any] = {}
    sections = task.get("hyperparams")
    for section, held in sections.items() if isinstance(sections, dict) else ():
        if isinstance(held, dict):
            values = {name: said.get("value") for name, said in held.items() if isinstance(said, dict)}
            settings |= values if section in _PLAIN_SECTIONS else {section: values}
    return settings


def _without_zeros_for_nan(log: RawLog) -> RawLog:
    """Return the log with NaN where ClearML wrote 0.0 for it, or for an infinity: in losses and norms that never come near 0."""
    columns, notes = dict(log.columns), list(log.notes)
    for name, column in log.columns.items():
        metric = spelling(name).name
        zero = column.values == 0
        if not zero.any() or zero.all() or metric.rpartition("/")[2] not in ("loss", "grad_norm"):
            continue
        others = np.abs(column.values[~zero])
        if others.min() > _NEAR_ZERO * np.median(others):
            columns[name] = Column(column.rows, np.where(zero, np.nan, column.values))
            notes.append(
                f'"{name}" is exactly 0 in {int(zero.sum()):,} of {len(zero):,} values: ClearML writes that in place of NaN '
                "and infinities, and it was read as NaN."
            )
    return replace(log, columns=columns, notes=tuple(notes))
