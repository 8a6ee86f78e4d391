"""SwanLab: the `.swanlab` file of a run, offline or local, and the run folder around it; without the package.

The framing is that of `.wandb` files, a record is a protobuf message: a start (10), an end (11), a column (12) or one
value (13). The folders with a number for each metric, which the local mode writes for its board, are read where they hold
more, as those of a killed run do; only the board's database, one folder above, knows what the numbers stand for.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from lmdiag.errors import UnreadableLog
from lmdiag.readers.numbers import counted
from lmdiag.readers.rawlog import RawLog, Source
from lmdiag.readers.tensorboard.wire import BYTES, BadWire, fields, signed
from lmdiag.readers.trackers.metrics import logged_run
from lmdiag.readers.trackers.plain_yaml import plain_yaml
from lmdiag.readers.trackers.sqlite_log import opened
from lmdiag.readers.trackers.wire_values import VARINT_PATTERN, ZERO, Values, message, nanos, number, seconds, text
from lmdiag.readers.wandb.records import records
from lmdiag.run import Skipped
from lmdiag.sources.local import files_in

FORMAT = "swanlab"
OWNS_SUBFOLDERS = True
MAGIC = b":SWL"
_BOARD = "runs.swanlab"  # a SQLite database
_TOLD = _START, _FINISH, _COLUMN, _SCALAR = 10, 11, 12, 13
_ENDS = {1: "FINISHED", 2: "FAILED", 3: "KILLED"}
_OF_THE_SYSTEM = 2
_VALUE = re.compile(  # the record of a value, as the library writes it; 0 is not written: it is what is not there
    rb"\x08V\x12.(?:\x08V)?(?:\x10V)?\x6aV\x0a(?P<length>.)(?P<key>[^\0-\x1f]+)(?:\x10(?P<step>V))?\x18\x01"
    rb"\x22.\x08(?P<seconds>V)(?:\x10(?P<nanos>V))?\x2a(?:\x09\x09(?P<value>.{8})|\0)".replace(b"V", VARINT_PATTERN),
    re.DOTALL,
)


@dataclass
class _Found:
    """What the records of a run say; `hidden` are the keys of what is measured of the machine."""

    values: Values = field(default_factory=Values)
    hidden: set[str] = field(default_factory=set)
    name: str = ""
    run_id: str = ""
    ended: str = ""
    bad: int = 0


def can_read(name: str, head: bytes) -> bool:
    """Tell whether this is a `.swanlab` file with records, or a folder with one in it."""
    if name.endswith("/"):
        files = head.decode("utf-8", "replace").split("\n")
        return any(file.endswith(".swanlab") and "/" not in file and file != _BOARD for file in files)
    return head.startswith(MAGIC)


def read(source: Source) -> list[RawLog]:
    """Read the values of a run; a folder may be resumed in `later` ones."""
    folders = [source.path, *source.later] if source.is_folder and source.path else []
    files = [Source(path.as_posix(), path) for folder in folders for path in files_in(folder, "*.swanlab")]
    found, starts = _Found(), []
    skipped: list[Skipped] = []
    settings: dict[str, Any] = {}
    for file in files or [source]:
        starts.append(len(found.values))
        found.ended = ""
        lost: list[Skipped] = []
        for record in records(file.data, lost):
            try:
                _take(record, found)
            except (BadWire, TypeError, AttributeError):  # a field may be of another kind
                found.bad += 1
        if not found.ended and file.path:  # the end of the file was lost with the process, that of the board was not
            lost_there: list[Skipped] = []
            of_board = sorted(_of_the_board(file.path.parent, lost_there))
            if len(of_board) > len(found.values) - starts[-1]:
                found.values.replace_since(starts[-1], of_board)
                lost = lost_there
        skipped += lost
        settings |= _settings(file.path)
    if found.bad:
        skipped.append(Skipped(0, "record that cannot be decoded", found.bad))
    if not len(found.values) and not found.run_id:
        raise UnreadableLog(
            f"{source.name}: no sound record in the .swanlab file",
            "check that it was copied completely; a run that was killed early may have written nothing yet",
        )
    name = found.name or found.run_id or source.name
    return [
        logged_run(FORMAT, name, source.name, found.values.points(starts, found.hidden), settings, found.ended, skipped)
    ]


def _take(record: bytes, found: _Found) -> None:
    plain = _VALUE.fullmatch(record)
    if plain:
        length, key, step, at, after, value = plain.groups()
        if len(key) == length[0]:
            found.values.add(text(key), number(step or b"\0"), number(at) + nanos(after), value or ZERO)
            return
    for field_number, kind, a, b in fields(record):
        said = message(record, a, b) if kind == BYTES and field_number in _TOLD else {}
        if field_number == _SCALAR:  # with a long name, or of another release
            at_time = seconds(said.get(4, b""))
            found.values.add(
                text(said.get(1, b"")), signed(said.get(2, 0)), at_time, message(said.get(5, b"")).get(1, ZERO)
            )
        elif field_number == _START:
            found.name = text(said.get(4, b"")) or found.name
            found.run_id = text(said.get(10, b"")) or found.run_id
        elif field_number == _FINISH:
            found.ended = _ENDS.get(said.get(1, 0), "")
        elif field_number == _COLUMN and said.get(1) == _OF_THE_SYSTEM:
            found.hidden.add(text(said.get(3, b"")))


def _settings(file: Path | None) -> dict[str, Any]:
    """Return the configuration that stands beside the file of a run."""
    beside = file.parent / "files" / "config.yaml" if file else None
    if beside is None or not beside.is_file():
        return {}
    return stated(plain_yaml(Source(beside.as_posix(), beside).text))


def stated(config: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a configuration in which each has a `value`, a `desc` and a `sort`."""
    return {key: value.get("value") if isinstance(value, dict) else value for key, value in config.items()}


def _of_the_board(folder: Path, skipped: list[Skipped]) -> Iterator[tuple[float, str, int, float]]:
    """Yield the (time in s, metric, step, value) of the numbered folders of a local run."""
    for folded, name in _names(folder).items():
        for path in files_in(folder / "logs" / folded, "*.log"):
            for line, words in enumerate(Source(path.as_posix(), path).text.splitlines(), 1):
                try:
                    said = json.loads(words)
                    time = datetime.fromisoformat(said["create_time"]).timestamp()
                    yield time, name, counted(said["index"]), float(said["data"])
                except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
                    skipped.append(Skipped(line, f"logs/{folded}/{path.name}: no value: {words[:40]!r}"))


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
            return {str(folded): str(name) for folded, name in database.execute(query, (folder.name,))}
    except (sqlite3.Error, UnicodeError):  # names in the schema may be no text
        return {}
