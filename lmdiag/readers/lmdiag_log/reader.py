"""`lmdiag-log/1`: the standard log, one typed record per line."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from msgspec.structs import replace

from lmdiag.naming import spelling
from lmdiag.readers.growing import Growing
from lmdiag.readers.json.decode import Lost
from lmdiag.readers.json.lines import GrowingRows, read_rows
from lmdiag.readers.lmdiag_log.converted import METRIC, event_of, facts_of_origin
from lmdiag.readers.rawlog import RawLog, part
from lmdiag.readers.tables.rows import Rows
from lmdiag.run import Event
from lmdiag.sources.source import Source

ABOUT_THE_FILE = ("type", "schema", "run_id", "name", "time", "source", "resumed_from_step")
VERSION = "1"
USUAL = ("type", "step")  # what most records say of themselves


def can_read(name: str, head: bytes) -> bool:
    """Tell whether the log begins with the header of a run in this schema."""
    start = head[:8192]
    return b'"lmdiag-log/' in start and b'"schema"' in start and start.lstrip(b"\0 \r\n\t").startswith(b"{")


def read(source: Source) -> list[RawLog]:
    """Read one log for each `run_id`; a further header of the same run is a restart."""
    logs = _Logs(source.name)
    return _separated(source.name, logs, read_rows(source, logs.take, USUAL))


def begin(name: str, start: str) -> Growing:
    """Return a reading of a log that lines can be added to."""
    logs = _Logs(name)
    return GrowingRows(logs.take, partial(_separated, name, logs), USUAL)


def _separated(name: str, logs: _Logs, rows: Rows) -> list[RawLog]:
    """Return the log of each run."""
    whole = rows.log("lmdiag-log/1", name, source=name, **logs.common_facts(rows))
    owners = logs.owners(rows)
    return [
        log.applied(whole if len(logs.found) < 2 else part(whole, np.flatnonzero(owners == number), ""), rows)
        for number, log in enumerate(logs.found.values())
    ]


class _Logs:
    """The runs of a file, found by their headers, and where each begins."""

    def __init__(self, name: str) -> None:
        self.current = _Log(name)
        self.found: dict[str, _Log] = {"": self.current}
        self.starts: list[tuple[int, int]] = []
        self.evaluated: dict[str, str] = {}

    def take(self, rows: Rows, line: int, record: dict[str, Any] | Lost) -> None:
        """Take in a record; those of unknown types are ignored, as the schema asks, and counted."""
        if isinstance(record, Lost):
            rows.skip(line, record.reason)
            return
        kind = record.pop("type", None)
        if kind == "run":
            self._begin(str(record.get("run_id", "")), record, line)
            return
        metrics = record.pop("metrics", None)
        if isinstance(metrics, dict):
            if "step" in metrics:
                metrics[f"step{METRIC}"] = metrics.pop("step")
            record |= metrics
        if kind in ("step", None):
            rows.add(record, line)
        elif kind == "eval":
            split, step, _ = str(record.pop("split", "val")), record.pop("step", None), record.pop("time", None)
            cells = {f"{split}/{name}": value for name, value in record.items()}
            self.evaluated |= {f"{split}/{name}": f"{split}/{_metric(name, record)}" for name in record}
            rows.add({"step": step, **cells}, line)
        elif kind in ("event", "end"):
            self.current.events.append(event_of({"type": kind, **record}))
        else:
            rows.skip(line, f"a record of the unknown type {str(kind)[:40]!r}")

    def _begin(self, run_id: str, record: dict[str, Any], line: int) -> None:
        if not self.starts:
            self.found = {run_id: self.current}
        self.current = self.found.setdefault(run_id, _Log(self.current.name))
        self.current.header(record)
        self.starts.append((line, list(self.found).index(run_id)))

    def common_facts(self, rows: Rows) -> dict[str, Any]:
        """Return what holds for all runs of the file."""
        step_column = {"step_column": "step"} if "step" in rows.numbers else {}
        return {"names": self.evaluated, **step_column}

    def owners(self, rows: Rows) -> np.ndarray:
        """Return which run each row belongs to: int64[n]."""
        if len(self.found) < 2:
            return np.zeros(len(rows), np.int64)
        lines, numbers = zip(*self.starts)
        place = np.searchsorted(np.asarray(lines), np.asarray(rows.lines), side="right") - 1
        return np.asarray(numbers)[np.maximum(place, 0)]


def _metric(name: str, record: Mapping[str, Any]) -> str:
    """Return the metric that a program evaluated under a name of its own; what is none, or stands there already, keeps its."""
    found = spelling(name)
    taken = not found.known or found.scale != 1 or "/" in found.name or found.name in record
    return name if taken else found.name


class _Log:
    """What the headers and events of one run say."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.headers = 0
        self.config: dict[str, Any] = {}
        self.events: list[Event] = []
        self.notes: list[str] = []
        self.origin: Mapping[str, Any] = {}

    def header(self, record: dict[str, Any]) -> None:
        """Take over the facts of a header; the first says most, a later one tells of a resume."""
        version = str(record.get("schema", "")).rpartition("/")[2]
        if version not in ("", VERSION):
            self.notes.append(f"The log is of version {version}; this program knows version {VERSION} only.")
        if isinstance(record.get("source"), dict):
            self.origin = record["source"]
        if not self.headers:
            self.name = str(record.get("name") or self.name)
        if (self.headers or "resumed_from_step" in record) and not self.origin:
            self.events.append(Event("restart", record.get("resumed_from_step")))
        self.headers += 1
        self.config |= {k: v for k, v in record.items() if k not in ABOUT_THE_FILE and v is not None}

    def applied(self, raw: RawLog, rows: Rows) -> RawLog:
        """Return the log of this run; a converted log keeps all its names."""
        facts: dict[str, Any] = facts_of_origin(self.origin, rows.numbers) if self.origin else {}
        if self.config.get("loss_reduction") == "window_mean" and not self.origin:
            facts["reductions"] = {"loss": "window_mean"}
        facts["skipped"] = (*facts.get("skipped", ()), *raw.skipped)
        facts["notes"] = (*facts.get("notes", ()), *self.notes)
        return replace(raw, name=self.name, config=dict(self.config), events=tuple(self.events), **facts)
