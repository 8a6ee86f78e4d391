"""`lmdiag-log/1`: the standard log, one typed record per line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmdiag.readers.json_lines import Lost
from lmdiag.readers.jsonl import records
from lmdiag.readers.rawlog import RawLog
from lmdiag.readers.rows import Rows, number
from lmdiag.readers.source import Source
from lmdiag.run import Event

TYPES = ("run", "step", "eval", "event", "end")
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
            log = logs.setdefault(str(record.get("run_id", source.name)), log if not logs else _Log(source.name))
            log.header(record)
        else:
            log.add(record, line)
    found = list(logs.values()) or [log]
    return [log.finish(source, several=len(found) > 1) for log in found]


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
            self.notes.append(
                f"The log is of version {version}; this program knows version {VERSION} and may miss something."
            )
        if isinstance(record.get("source"), dict):
            self.origin = record["source"]
        if self.rows or "resumed_from_step" in record:
            self.events.append(Event("restart", record.get("resumed_from_step")))
        else:
            self.name = str(record.get("name") or self.name)
        self.config |= {k: v for k, v in record.items() if k not in ABOUT_THE_FILE and (k not in self.config or v)}

    def add(self, record: dict[str, Any], line: int) -> None:
        """Take in a step, evaluation, event or end; records of unknown types are ignored, as the schema asks."""
        kind = record.pop("type", None)
        if kind in ("step", None):
            self.rows.add(record, line)
        elif kind == "eval":
            split = str(record.pop("split", "val"))
            metrics = record.pop("metrics", None)
            cells = {
                f"{split}/{name}": value
                for name, value in (record | (metrics or {})).items()
                if name not in ("step", "time")
            }
            self.evaluated |= set(cells)
            self.rows.add({"step": record.get("step"), **cells}, line)
        elif kind == "event":
            self.events.append(_event(str(record.pop("kind", "event")), record))
        elif kind == "end":
            self.events.append(_event("end", record))

    def finish(self, source: Source, several: bool) -> RawLog:
        """Return the log; evaluations keep their names, `train/loss` among them, and so do logs that this program wrote."""
        written_here = bool(self.origin)
        names = {name: name for name in (self.rows.numbers if written_here else self.evaluated) if name != "step"}
        return self.rows.log(
            "lmdiag-log/1",
            self.name,
            source=source.name,
            config=self.config,
            events=tuple(self.events),
            notes=(*self.origin.get("notes", ()), *self.notes),
            objective=str(self.origin.get("objective", "")),
            step_column="step" if "step" in self.rows.numbers else "",
            step_kind=str(self.origin.get("step_kind", "step")),
            names=names,
            reductions={"loss": "window_mean"} if self.config.get("loss_reduction") == "window_mean" else {},
        )


def _event(kind: str, record: dict[str, Any]) -> Event:
    step = record.pop("step", None)
    message = record.pop("message", "")
    step = number(str(step)) if step is not None else None
    return Event(kind, int(step) if step is not None and abs(step) < 2**63 else None, str(message), record)
