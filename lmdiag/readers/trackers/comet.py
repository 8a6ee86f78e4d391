"""Comet offline: a zip archive with `messages.json`, a message a line, and `experiment.json`; or the messages alone."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
from msgspec import Struct, field

from lmdiag.errors import UnreadableLog
from lmdiag.naming import spelling
from lmdiag.readers.numbers import counted
from lmdiag.readers.rawlog import RawLog, Source
from lmdiag.readers.tensorboard.event_rows import Points
from lmdiag.readers.trackers.metrics import logged_run
from lmdiag.run import Skipped
from lmdiag.sources.zipped import first_member, members

FORMAT = "comet"
_ARCHIVE = re.compile(r"(?:^|.*/)[0-9a-f]{32}(?:-\w+)?\.zip")
_EMPTY = b"PK\x05\x06".ljust(22, b"\0")  # a zip archive without members
_OF_THE_MACHINE = ("sys.", "process duration")
_EPOCH = "\0epoch"
_MESSAGES, _EXPERIMENT = "messages.json", "experiment.json"
_MESSAGE = b'{"payload":{'
_NUMBERS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


def can_read(name: str, head: bytes) -> bool:
    """Tell whether this is the archive of an experiment, or its messages."""
    if head.startswith(_MESSAGE):
        return b'"offline_experiment"' in head or b'"type":"metric_msg"' in head
    return first_member(head) in (_MESSAGES, _EXPERIMENT) or (head == _EMPTY and _ARCHIVE.fullmatch(name) is not None)


class Found(Struct):
    """What the messages say: of each value its metric, step, time in ms and number."""

    values: list[tuple[str, int, float, float]] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    name: str = ""
    epoch: tuple[Any, Any] = (None, None)


def read(source: Source) -> list[RawLog]:
    """Read the metrics and parameters of an experiment; it may go on in `later` archives."""
    sources = [source, *(Source(path.as_posix(), path) for path in source.later)]
    found, starts = Found(), []
    skipped: list[Skipped] = []
    for _, messages in sorted(map(_begun, sources), key=lambda part: part[0]):
        starts.append(len(found.values))
        for number, line in enumerate(messages.split(b"\n"), 1):
            try:
                if line.strip():
                    _take(json.loads(line), found)
            except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
                skipped.append(Skipped(number, f"no message: {line[:40].decode('utf-8', 'replace')!r}"))
    name = found.name or source.name
    return [logged_run(FORMAT, name, source.name, points(found, starts), found.settings, None, skipped)]


def _begun(source: Source) -> tuple[float, bytes]:
    """Return when a part was begun, and its messages."""
    if source.head.startswith(_MESSAGE):
        return 0.0, source.data
    if len(source.data) == len(_EMPTY):
        raise UnreadableLog(
            f"{source.name} is empty: Comet fills the archive when the experiment ends",
            "a killed run leaves its values in messages.json in a folder of its own below the temporary folder: name that file",
        )
    held = members(source, (_MESSAGES, _EXPERIMENT))
    if _MESSAGES not in held:
        raise UnreadableLog(f"{source.name} has no {_MESSAGES} in it", "check that it was copied completely")
    try:
        return float(json.loads(held.get(_EXPERIMENT, b"{}"))["start_time"]), held[_MESSAGES]
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
        return 0.0, held[_MESSAGES]


def _take(message: dict[str, Any], found: Found) -> None:
    kind, payload = message["type"], message["payload"]
    if kind == "metric_msg":
        take_metric(payload["metric"], float(payload["local_timestamp"]), found)
    elif kind == "parameter_msg" and payload["param"]["source"] != "auto-logged":
        found.settings[payload["param"]["paramName"]] = payload["param"]["paramValue"]
    elif kind == "log_other" and payload["key"] == "Name":
        found.name = str(payload["value"])


def take_metric(metric: dict[str, Any], time: float, found: Found) -> None:
    """Add a value of a metric, logged at a time in ms; the client notes others of the machine."""
    if str(metric["metricName"]).startswith(_OF_THE_MACHINE):
        return
    if not isinstance(metric["metricName"], str):
        raise TypeError("a metric has no name")
    step, value, epoch = counted(metric["step"] or 0), metric["metricValue"], metric.get("epoch")
    found.values.append((metric["metricName"], step, time, _NUMBERS[value] if value in _NUMBERS else float(value)))
    if epoch is not None and found.epoch != (step, epoch):
        found.epoch = step, epoch
        found.values.append((_EPOCH, step, time, float(epoch)))


def points(found: Found, starts: list[int]) -> Points:
    """Return the values; the epoch that stands beside each counts where none was logged as a metric."""
    ids: dict[str, int] = {}
    names, steps, times, values = zip(*found.values) if found.values else ((),) * 4
    column_ids = np.array([ids.setdefault(name, len(ids)) for name in names], np.int64)
    own = any(spelling(name).name == "epoch" for name in ids if name != _EPOCH)
    values_of_run = Points(
        ["epoch" if name == _EPOCH and not own else name for name in ids],
        column_ids,
        np.array(steps, np.int64),
        np.array(times, np.float64) / 1000,
        np.array(values, np.float64),
        np.array(starts, np.int64),
    )
    return values_of_run.without({_EPOCH})
