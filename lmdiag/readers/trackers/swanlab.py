"""SwanLab: the `.swanlab` file of a run, offline or local, and the run folder around it; without the package.

The framing is that of `.wandb` files, a record is a protobuf message: a start (10), an end (11), a column (12) or one
value (13). The folders with a number for each metric, which the local mode writes for its board, are read where they hold
more, as those of a killed run do; only the board's database, one folder above, knows what the numbers stand for.
"""

from __future__ import annotations

import json
import re
import sqlite3
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from lmdiag.errors import UnreadableLog
from lmdiag.readers.rawlog import RawLog, Source
from lmdiag.readers.tensorboard.event_rows import Points
from lmdiag.readers.tensorboard.wire import BYTES, VARINT, BadWire, fields, signed, varint
from lmdiag.readers.trackers.metrics import logged_run
from lmdiag.readers.trackers.plain_yaml import plain_yaml
from lmdiag.readers.trackers.sqlite_log import opened
from lmdiag.readers.wandb.records import records
from lmdiag.run import Skipped

FORMAT = "swanlab"
OWNS_SUBFOLDERS = True
MAGIC = b":SWL"
_BOARD = "runs.swanlab"  # a SQLite database
_START, _FINISH, _COLUMN, _SCALAR = 10, 11, 12, 13
_ENDS = {1: "FINISHED", 2: "FAILED", 3: "KILLED"}
_OF_THE_SYSTEM = 2
_VARINT = rb"(?:[\x80-\xff]{0,9}[\0-\x7f])"
_VALUE = re.compile(  # the record of a value, as the library writes it; 0 is not written: it is what is not there
    rb"\x08V\x12.(?:\x08V)?(?:\x10V)?\x6aV\x0a(?P<length>.)(?P<key>[^\0-\x1f]+)(?:\x10(?P<step>V))?\x18\x01"
    rb"\x22.\x08(?P<seconds>V)(?:\x10(?P<nanos>V))?\x2a(?:\x09\x09(?P<value>.{8})|\0)".replace(b"V", _VARINT),
    re.DOTALL,
)
_ZERO = bytes(8)


@dataclass
class _Found:
    """What the records of a run say; of each value its key, its step, its time in s, and its eight bytes."""

    keys: list[str] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    values: list[bytes] = field(default_factory=list)
    hidden: set[str] = field(default_factory=set)
    name: str = ""
    run_id: str = ""
    ended: str = ""
    bad: int = 0

    def replace_since(self, start: int, values: list[tuple[float, str, int, float]]) -> None:
        """Put these (time, key, step, value) in the place of the values from one on."""
        self.times[start:] = [time for time, _, _, _ in values]
        self.keys[start:] = [key for _, key, _, _ in values]
        self.steps[start:] = [step for _, _, step, _ in values]
        self.values[start:] = [struct.pack("<d", value) for _, _, _, value in values]

    def points(self, starts: list[int]) -> Points:
        """Return the values of the run, whose parts begin at `starts`, without what is measured of the machine."""
        ids: dict[str, int] = {}
        column_ids = np.array([ids.setdefault(key, len(ids)) for key in self.keys], np.int64)
        values = np.frombuffer(b"".join(self.values), "<f8")
        steps, times = np.array(self.steps, np.int64), np.array(self.times)
        return Points(list(ids), column_ids, steps, times, values, np.array(starts, np.int64)).without(self.hidden)


def can_read(name: str, head: bytes) -> bool:
    """Tell whether this is a `.swanlab` file with records, or a folder with one in it."""
    if name.endswith("/"):
        files = head.decode("utf-8", "replace").split("\n")
        return any(file.endswith(".swanlab") and "/" not in file and file != _BOARD for file in files)
    return head.startswith(MAGIC)


def read(source: Source) -> list[RawLog]:
    """Read the values of a run; a folder may be resumed in `later` ones."""
    folders = [source.path, *source.later] if source.is_folder and source.path else []
    files = [Source(path.as_posix(), path) for folder in folders for path in sorted(folder.glob("*.swanlab"))]
    found, starts = _Found(), []
    skipped: list[Skipped] = []
    settings: dict[str, Any] = {}
    for file in files or [source]:
        starts.append(len(found.keys))
        found.ended = ""
        lost: list[Skipped] = []
        for record in records(file.data, lost):
            try:
                _take(record, found)
            except BadWire:
                found.bad += 1
        if not found.ended and file.path:  # the end of the file was lost with the process, that of the board was not
            lost_there: list[Skipped] = []
            of_board = sorted(_of_the_board(file.path.parent, lost_there))
            if len(of_board) > len(found.keys) - starts[-1]:
                found.replace_since(starts[-1], of_board)
                lost = lost_there
        skipped += lost
        settings |= _settings(file.path)
    if found.bad:
        skipped.append(Skipped(0, "record that cannot be decoded", found.bad))
    if not found.keys and not found.run_id:
        raise UnreadableLog(
            f"{source.name}: no sound record in the .swanlab file",
            "check that it was copied completely; a run that was killed early may have written nothing yet",
        )
    name = found.name or found.run_id or source.name
    return [logged_run(FORMAT, name, source.name, found.points(starts), settings, found.ended, skipped)]


def _take(record: bytes, found: _Found) -> None:
    plain = _VALUE.fullmatch(record)
    if plain:
        length, key, step, seconds, nanos, value = plain.groups()
        if len(key) == length[0]:
            found.keys.append(_text(key))
            found.steps.append(_number(step or b"\0"))
            found.times.append(_number(seconds) + 1e-9 * (_decoded(nanos) if nanos else 0))
            found.values.append(value or _ZERO)
            return
    for number, kind, a, b in fields(record):
        if kind == BYTES and number == _SCALAR:
            _take_value(record, a, b, found)
        elif kind == BYTES and number == _START:
            start = _message(record, a, b)
            found.name = _text(start.get(4, b"")) or found.name
            found.run_id = _text(start.get(10, b"")) or found.run_id
        elif kind == BYTES and number == _FINISH:
            found.ended = _ENDS.get(_message(record, a, b).get(1, 0), "")
        elif kind == BYTES and number == _COLUMN:
            column = _message(record, a, b)
            if column.get(1) == _OF_THE_SYSTEM:
                found.hidden.add(_text(column.get(3, b"")))


def _take_value(record: bytes, start: int, end: int, found: _Found) -> None:
    """Add a value of any form: one with a long name, or written by another release."""
    said = _message(record, start, end)
    time, number = (_message(part, 0, len(part)) for part in (said.get(4, b""), said.get(5, b"")))
    value = number.get(1, _ZERO)
    if not isinstance(value, bytes) or len(value) != 8:
        raise BadWire("a value is no number")
    found.keys.append(_text(said.get(1, b"")))
    found.steps.append(signed(said.get(2, 0)))
    found.times.append(time.get(1, 0) + 1e-9 * time.get(2, 0))
    found.values.append(value)


def _message(record: bytes, start: int, end: int) -> dict[int, Any]:
    """Return the last value of each field: numbers as they are, else the bytes."""
    return {n: a if kind == VARINT else record[a:b] for n, kind, a, b in fields(record, start, end)}


@lru_cache(maxsize=4096)
def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _decoded(raw: bytes) -> int:
    return varint(raw, 0)[0]


_number = lru_cache(maxsize=4096)(lambda raw: signed(_decoded(raw)))  # the metrics of a step share it


def _settings(file: Path | None) -> dict[str, Any]:
    """Return the configuration that stands beside the file of a run, each with a `desc` and a `sort`."""
    beside = file.parent / "files" / "config.yaml" if file else None
    if beside is None or not beside.is_file():
        return {}
    stated = plain_yaml(Source(beside.as_posix(), beside).text)
    return {key: value.get("value") if isinstance(value, dict) else value for key, value in stated.items()}


def _of_the_board(folder: Path, skipped: list[Skipped]) -> Iterator[tuple[float, str, int, float]]:
    """Yield the (time in s, metric, step, value) of the numbered folders of a local run."""
    for number, name in _names(folder).items():
        for path in (folder / "logs" / number).glob("*.log"):
            for line, text in enumerate(Source(path.as_posix(), path).text.splitlines(), 1):
                try:
                    said = json.loads(text)
                    time = datetime.fromisoformat(said["create_time"]).timestamp()
                    yield time, name, int(said["index"]), float(said["data"])
                except (ValueError, TypeError, KeyError, RecursionError):
                    skipped.append(Skipped(line, f"logs/{number}/{path.name}: no value: {text[:40]!r}"))


def _names(folder: Path) -> dict[str, str]:
    """Return what the numbers stand for, as the database of the board tells."""
    board = folder.parent / _BOARD
    if not board.is_file():
        return {}
    query = (
        "SELECT tag.folder, tag.name FROM tag JOIN experiment ON experiment.id = tag.experiment_id"
        " WHERE experiment.run_id = ? AND tag.type = 'line'"
    )
    try:
        with opened(Source(board.as_posix(), board)) as database:
            return {str(number): str(name) for number, name in database.execute(query, (folder.name,))}
    except sqlite3.Error:
        return {}
