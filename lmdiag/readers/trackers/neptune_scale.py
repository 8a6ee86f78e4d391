"""Neptune Scale: the table `run_operations` of `run_operations.sqlite3`, each row a protobuf message."""

from __future__ import annotations

import re
import sqlite3
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from lmdiag.readers.rawlog import RawLog
from lmdiag.readers.tensorboard.wire import BYTES, BadWire, fields, signed
from lmdiag.readers.trackers.metrics import logged_run
from lmdiag.readers.trackers.wire_values import VARINT_PATTERN, ZERO, Values, message, nanos, number, seconds, text
from lmdiag.run import Skipped

FORMAT = "neptune-scale"
COLUMNS = {"sequence_id", "operation_type", "operation"}
_SNAPSHOT, _CREATION = 0, 1  # types of operations
_STEP, _TIME, _ASSIGN, _APPEND = 1, 2, 4, 8  # fields of a snapshot
_FLOAT, _INT, _BOOL, _STRING = 1, 3, 5, 6  # of a value
_BEGIN = re.compile(  # a step without fraction, and a time; 0 is not written: it is what is not there
    rb"(?:\x0a.(?:\x08(?P<step>V))?)?\x12.\x08(?P<seconds>V)(?:\x10(?P<nanos>V))?".replace(b"V", VARINT_PATTERN),
    re.DOTALL,
)
_VALUE = re.compile(rb"\x42V\x0a(.)([^\0-\x1f]+)\x12(?:\x09\x09(.{8})|\0)".replace(b"V", VARINT_PATTERN), re.DOTALL)
_OF_THE_CLIENT = ("sys/", "runtime/", "source_code/")


@dataclass
class _Found:
    """What the operations say."""

    values: Values = field(default_factory=Values)
    settings: dict[str, Any] = field(default_factory=dict)
    name: str = ""
    bad: int = 0


class Operations:
    """The operations of one run, from the database that it was begun in and those that it was resumed in."""

    def __init__(self) -> None:
        self._found = _Found()
        self._starts: list[int] = []
        self._run_id = ""

    def take(self, database: sqlite3.Connection) -> None:
        """Add what a database holds."""
        found = self._found
        self._starts.append(len(found.values))
        row = database.execute("SELECT run_id FROM metadata").fetchone()
        self._run_id = str(row[0]) if row else ""
        for kind, operation in database.execute(
            "SELECT operation_type, operation FROM run_operations ORDER BY sequence_id"
        ):
            try:
                if kind == _SNAPSHOT and not _take_plain(operation, found):
                    _take(operation, found)
                elif kind == _CREATION:
                    found.name = text(message(operation).get(5, b""))
            except (BadWire, TypeError, AttributeError, struct.error):
                found.bad += 1

    def log(self, source: str) -> RawLog:
        """Return the run."""
        found = self._found
        skipped = [Skipped(0, "operation that cannot be decoded", found.bad)] if found.bad else []
        name = found.name or self._run_id or source
        hidden = {key for key in set(found.values.keys) if key.startswith(_OF_THE_CLIENT)}
        points = found.values.points(self._starts, hidden)
        return logged_run(FORMAT, name, source, points, found.settings, None, skipped)


def _take_plain(operation: bytes, found: _Found) -> bool:
    """Take an operation that only appends numbers; tell whether it is one."""
    begin = _BEGIN.match(operation)
    if begin is None or operation[begin.end() : begin.end() + 1] != b"\x42":
        return False
    values, at = [], begin.end()
    while at < len(operation):
        value = _VALUE.match(operation, at)
        if value is None or len(value[2]) != value[1][0]:
            return False
        values.append((value[2], value[3] or ZERO))
        at = value.end()
    step, time = number(begin["step"] or b"\0"), number(begin["seconds"]) + nanos(begin["nanos"])
    for key, held in values:
        found.values.add(text(key), step, time, held)
    return True


def _take(operation: bytes, found: _Found) -> None:
    said = message(operation)
    step, time = message(said.get(_STEP, b"")).get(1, 0), seconds(said.get(_TIME, b""))
    for key, value in _entries(operation, _APPEND):
        if _FLOAT in value or not value:
            found.values.add(key, signed(step), time, value.get(_FLOAT, ZERO))
    for key, value in _entries(operation, _ASSIGN):
        if not key.startswith(_OF_THE_CLIENT):
            found.settings[key] = _plain(value)


def _entries(operation: bytes, wanted: int) -> Iterable[tuple[str, dict[int, Any]]]:
    for field_number, kind, a, b in fields(operation):
        if field_number == wanted and kind == BYTES:
            entry = message(operation, a, b)
            yield text(entry.get(1, b"")), message(entry.get(2, b""))


def _plain(value: dict[int, Any]) -> Any:
    if _FLOAT in value:
        return struct.unpack("<d", value[_FLOAT])[0]
    if _INT in value:
        return signed(value[_INT])
    if _STRING in value:
        return text(value[_STRING])
    return bool(value[_BOOL]) if _BOOL in value else None
