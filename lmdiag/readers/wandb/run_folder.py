"""Weights & Biases: the `.wandb` file of a run, online or offline, and the run folder around it; without the package."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lmdiag.errors import UnreadableLog
from lmdiag.readers.rawlog import RawLog, Source
from lmdiag.readers.tables.rows import Rows
from lmdiag.readers.tensorboard.wire import BYTES, BadWire, fields, signed
from lmdiag.readers.trackers.names import history_conventions
from lmdiag.readers.wandb.records import MAGIC, items, message, records
from lmdiag.run import Event, Skipped

FORMAT = "wandb"
_HISTORY, _CONFIG, _RUN, _EXIT = 2, 5, 17, 18
_INTERRUPTED = 255  # what the client writes for Ctrl-C, and for an exit with -1
_LAST_LINES = 20
_STATUS = {0: "completed", _INTERRUPTED: "killed"}
_ERROR = re.compile(r"^(?!KeyboardInterrupt)(?:[\w.]*(?:Error|Exception)\b|(?i:error|fatal)\b)", re.MULTILINE)


@dataclass
class _Found:
    """What the records of one file say."""

    rows: Rows = field(default_factory=Rows)
    config: dict[str, Any] = field(default_factory=dict)
    run_id: str = ""
    name: str = ""
    starting_step: int = 0
    resumed: bool = False
    exit_code: int | None = None
    runtime: int = 0
    bad: int = 0


def can_read(name: str, head: bytes) -> bool:
    """Tell whether this is a `.wandb` file, or a folder with one in it."""
    if name.endswith("/"):
        files = head.decode("utf-8", "replace").split("\n")
        return any(file.endswith(".wandb") and "/" not in file for file in files)
    return head.startswith(MAGIC)


def read(source: Source) -> list[RawLog]:
    """Read the history of a run; a folder may hold several `.wandb` files, each a run, or be resumed in `later` ones."""
    if not source.is_folder:
        return [_log([source])]
    assert source.path is not None
    files = [_source(source.name, path) for path in _files(source.path)]
    later = [_source(f"{folder.as_posix()}/", path) for folder in source.later for path in _files(folder)]
    return [_log([file]) for file in files[:-1]] + [_log([files[-1], *later])]


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix == ".wandb" and path.is_file())


def _source(folder: str, path: Path) -> Source:
    return Source(f"{folder.rstrip('/')}/{path.name}", path)


def _log(sources: Sequence[Source]) -> RawLog:
    """Read one run from the file that it was begun in and those that it was resumed in."""
    skipped: list[Skipped] = []
    source, found, restarts = sources[0], _Found(), []
    for number, part in enumerate(sources):
        found.exit_code, found.starting_step = None, 0
        for record in records(part.data, skipped):
            try:
                _take(record, found)
            except BadWire:
                found.bad += 1
        if number:
            restarts.append(Event("restart", found.starting_step or None, f"resumed in {part.name}"))
    if found.bad:
        skipped.append(Skipped(0, "record that cannot be decoded", found.bad))
    if not found.rows and not found.run_id:
        raise UnreadableLog(
            f"{source.name}: no sound record in this .wandb file",
            "check that it was copied completely; `wandb sync` may still know the run",
        )
    log = found.rows.log(
        FORMAT,
        found.name or found.run_id or source.name,
        source=source.name,
        config=_header(found),
        settings=unwrapped(found.config),
        events=(*restarts, *_events(found, sources[-1])),
        skipped=tuple(skipped),
        notes=() if found.rows else ("The run logged no history: it ended before its first `log` call.",),
    )
    return history_conventions(log)


def _failed(source: Source) -> bool:
    """Tell whether the console beside the file of a run ends in an error that is no Ctrl-C."""
    path = source.path.parent / "files/output.log" if source.path else None
    if path is None or not path.is_file():
        return False
    return bool(_ERROR.search("\n".join(Source(path.as_posix(), path).text.splitlines()[-_LAST_LINES:])))


def _take(record: bytes, found: _Found) -> None:
    for number, kind, a, b in fields(record):
        if kind != BYTES:
            continue
        if number == _HISTORY:
            _take_history(record, a, b, found)
        elif number == _CONFIG:
            found.config |= items(record, a, b)
        elif number == _RUN:
            _take_run(record, a, b, found)
        elif number == _EXIT:
            exit_record = message(record, a, b)
            found.exit_code = signed(_number(exit_record.get(1)))
            found.runtime = _number(exit_record.get(2))


def _take_history(record: bytes, start: int, end: int, found: _Found) -> None:
    row = items(record, start, end)
    if "_step" not in row and isinstance(step := message(record, start, end).get(2), tuple):
        row["_step"] = _number(message(record, *step).get(1))
    found.rows.add({key: scalar(value) for key, value in row.items()})


def scalar(value: Any) -> Any:
    """Return a number, or the word for one that JSON does not know; None for histograms, tables and media: they are no measurements."""
    if isinstance(value, bool):
        return int(value)
    return value if isinstance(value, int | float) or value in ("NaN", "Infinity", "-Infinity") else None


def _take_run(record: bytes, start: int, end: int, found: _Found) -> None:
    run = message(record, start, end)
    found.run_id = _words(record, run.get(1)) or found.run_id
    found.name = _words(record, run.get(8)) or found.name
    found.starting_step = _number(run.get(14))
    found.resumed = bool(_number(run.get(18)))
    for number, kind, a, b in fields(record, start, end):
        if (number, kind) == (4, BYTES):
            found.config |= items(record, a, b)


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _words(record: bytes, span: Any) -> str:
    return record[span[0] : span[1]].decode("utf-8", "replace") if isinstance(span, tuple) else ""


def _header(found: _Found) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    if found.run_id:
        facts["run_id"] = found.run_id
    if found.resumed and found.starting_step:
        facts["resumed_from_step"] = found.starting_step
    return facts


def unwrapped(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a W&B config without its `{"value": …}` wrappers and bookkeeping.

    >>> unwrapped({"lr": {"desc": None, "value": 0.1}, "_wandb": {}, "seed": 1})
    {'lr': 0.1, 'seed': 1}
    """
    return {
        key: value["value"]
        if isinstance(value, dict) and "value" in value and set(value) <= {"desc", "value"}
        else value
        for key, value in config.items()
        if key not in ("_wandb", "wandb_version", "")
    }


def _events(found: _Found, last: Source) -> tuple[Event, ...]:
    if found.exit_code is None:
        return ()
    failed = found.exit_code == _INTERRUPTED and _failed(last)
    status = "crashed" if failed else _STATUS.get(found.exit_code, "crashed")
    fields_ = {"status": status, "exit_code": found.exit_code, "elapsed_s": found.runtime}
    return (Event("end", message=f"exit code {found.exit_code}", fields=fields_),)
