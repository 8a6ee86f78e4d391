"""`lmdiag-log/1`: the standard log, one typed record per line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmdiag.readers.converted import event_of, facts_of_origin
from lmdiag.readers.json_lines import Lost
from lmdiag.readers.jsonl import records
from lmdiag.readers.rawlog import RawLog
from lmdiag.readers.rows import Rows
from lmdiag.readers.source import Source
from lmdiag.run import Event

ABOUT_THE_FILE = ("type", "schema", "run_id", "name", "time", "source", "resumed_from_step")
VERSION = "1"


def can_read(name: str, head: bytes) -> bool:
    """Tell whether the log begins with the header of a run in this schema."""
    start = head[:8192]
    return b'"lmdiag-log/' in start and b'"schema"' in start and start.lstrip(b"\0 \r\n\t").startswith(b"{")


def read(source: Source) -> list[RawLog]:
    """Read one log for each `run_id`; a further header of the same run is a restart."""
    logs: dict[str, _Log] = {}
    log = _Log(source.name)
    for line, record in records(source):
        if isinstance(record, Lost):
            log.rows.skip(line, record.reason)
        elif record.get("type") == "run":
            log = logs.setdefault(str(record.get("run_id", source.name)), _Log(source.name) if logs else log)
            log.header(record)
        else:
            log.add(record, line)
    return [log.finish(source) for log in logs.values() or [log]]


class _Log:
    """The records of one run, on their way into a RawLog."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.rows = Rows()
        self.config: dict[str, Any] = {}
        self.events: list[Event] = []
        self.evaluated: set[str] = set()
        self.notes: list[str] = []
        self.origin: Mapping[str, Any] = {}

    def header(self, record: dict[str, Any]) -> None:
        """Take over the facts of a header; the first says most, a later one tells of a resume."""
        version = str(record.get("schema", "")).rpartition("/")[2]
        if version not in ("", VERSION):
            self.notes.append(f"The log is of version {version}; this program knows version {VERSION} only.")
        if isinstance(record.get("source"), dict):
            self.origin = record["source"]
        if not self.rows and "resumed_from_step" not in record:
            self.name = str(record.get("name") or self.name)
        elif not self.origin:  # a converted log tells of its restarts by events
            self.events.append(Event("restart", record.get("resumed_from_step")))
        self.config |= {k: v for k, v in record.items() if k not in ABOUT_THE_FILE and v is not None}

    def add(self, record: dict[str, Any], line: int) -> None:
        """Take in a step, evaluation, event or end; records of unknown types are ignored, as the schema asks."""
        kind = record.pop("type", None)
        metrics = record.pop("metrics", None)
        if isinstance(metrics, dict):
            record |= metrics
        if kind in ("step", None):
            self.rows.add(record, line)
        elif kind == "eval":
            split, step, _ = str(record.pop("split", "val")), record.pop("step", None), record.pop("time", None)
            cells = {f"{split}/{name}": value for name, value in record.items()}
            self.evaluated |= cells.keys()
            self.rows.add({"step": step, **cells}, line)
        elif kind in ("event", "end"):
            self.events.append(event_of({"type": kind, **record}))

    def finish(self, source: Source) -> RawLog:
        """Return the log; the metrics of evaluations keep their names, `train/loss` among them."""
        facts: dict[str, Any] = {"names": {name: name for name in self.evaluated}}
        if "step" in self.rows.numbers:
            facts["step_column"] = "step"
        if self.config.get("loss_reduction") == "window_mean":
            facts["reductions"] = {"loss": "window_mean"}
        if self.origin:
            facts |= facts_of_origin(self.origin, self.rows.numbers)
        facts["notes"] = (*facts.get("notes", ()), *self.notes)
        return self.rows.log(
            "lmdiag-log/1", self.name, source=source.name, config=self.config, events=tuple(self.events), **facts
        )
