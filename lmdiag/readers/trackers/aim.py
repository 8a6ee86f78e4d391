"""Aim: the repository `.aim`, in which each run has a RocksDB of its values and one of its settings; without the package.

A key is a path of words and numbers; each ends with the byte 0xFE, with which a number begins, too. A value begins with its kind.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from lmdiag.errors import UnreadableLog
from lmdiag.naming import spelling
from lmdiag.readers.rawlog import RawLog, Source
from lmdiag.readers.trackers.metrics import tracked_run
from lmdiag.readers.trackers.rocksdb import entries
from lmdiag.readers.trackers.sqlite_log import opened
from lmdiag.run import Skipped

FORMAT = "aim"
OWNS_SUBFOLDERS = True
_END = 0xFE
_INT = 2
_KINDS = {1: "<?", _INT: "<q", 3: "<d"}
_WORDS, _BYTES = 4, 5
OF_THE_CLIENT = "__system"
_OWN_NAME = "Run: "  # what Aim calls a run that nobody named

Keys = tuple[str | int, ...]


def can_read(name: str, head: bytes) -> bool:
    """Tell whether a folder is a repository, with the databases of at least one run."""
    return name.endswith("/") and b"\nrun_metadata.sqlite\n" in head and b"\nseqs/chunks/" in head


def read(source: Source) -> list[RawLog]:
    """Read every run of a repository, in the order in which they were begun."""
    assert source.path is not None
    folders = sorted(path for path in (source.path / "seqs" / "chunks").glob("*") if path.is_dir())
    if not folders:
        raise UnreadableLog(f"{source.name} holds no run of Aim", "name the folder .aim that holds seqs/")
    names = _names(source.path / "run_metadata.sqlite")
    order = {run: number for number, run in enumerate(names)}
    folders.sort(key=lambda folder: order.get(folder.name, len(order)))
    return [_run(source, folder, names.get(folder.name) or folder.name, len(folders)) for folder in folders]


def _names(path: Path) -> dict[str, str]:
    """Return {hash: name} of the runs, in the order in which they were begun."""
    try:
        with opened(Source(path.as_posix(), path)) as database:
            found = database.execute("SELECT hash, name FROM run ORDER BY created_at, id").fetchall()
    except (sqlite3.Error, UnicodeError, UnreadableLog):  # names in the schema may be no text
        return {}
    return {str(run): given_name(name) for run, name in found}


def given_name(name: Any) -> str:
    """Return what somebody called a run, "" where only Aim did."""
    return "" if str(name or _OWN_NAME).startswith(_OWN_NAME) else str(name)


def _run(source: Source, folder: Path, name: str, count: int) -> RawLog:
    assert source.path is not None
    skipped: list[Skipped] = []
    settings, contexts = _described(source.path / "meta" / "chunks" / folder.name, folder.name, skipped)
    sequences: dict[tuple[int, str], dict[str | int, dict[str, Any]]] = {}
    for path, value in decoded(entries(folder, skipped).items()):
        at = path.index(folder.name) + 1 if folder.name in path else len(path)
        if len(path) == at + 4:
            context, metric, measure, place = path[at:]
            sequences.setdefault((int(context), str(metric)), {}).setdefault(place, {})[str(measure)] = value
    metrics: dict[str, list[tuple[float, float, int]]] = {}
    epochs: dict[int, tuple[float, float, int]] = {}
    for (context, metric), points in sequences.items():
        words = "" if metric.startswith(OF_THE_CLIENT) else contexts.get(context, "")
        for place, point in points.items():
            step, value, time = point.get("step", place), point.get("val"), 1000 * float(point.get("time") or 0)
            if isinstance(value, int | float) and isinstance(step, int) and not metric.startswith(OF_THE_CLIENT):
                metrics.setdefault(f"{words}/{metric}".lstrip("/"), []).append((time, float(value), step))
                if isinstance(point.get("epoch"), int | float):
                    epochs[step] = time, float(point["epoch"]), step
    if epochs and not any(spelling(metric).name == "epoch" for metric in metrics):
        metrics["epoch"] = list(epochs.values())
    label = f"{source.name.rstrip('/')}#{name}" if count > 1 else name
    return tracked_run(FORMAT, label, folder.as_posix(), metrics, settings, None, skipped)


def _described(folder: Path, run: str, skipped: list[Skipped]) -> tuple[dict[str, Any], dict[int, str]]:
    """Return the settings of a run, and the words of each context, such as `train`."""
    settings: dict[str, Any] = {}
    contexts: dict[int, list[str]] = {}
    for path, value in decoded(entries(folder, skipped).items()):
        match path:
            case ("meta", "chunks", hash, "attrs", group, *rest) if hash == run and value is not None:
                settings |= setting(group, rest, value)
            case ("meta", "chunks", hash, "contexts", int(context), *rest) if hash == run and rest:
                contexts.setdefault(context, []).append(str(value))
    return settings, {context: "/".join(words) for context, words in contexts.items()}


def setting(group: str | int, rest: Sequence[str | int], value: Any) -> dict[str, Any]:
    """Return an attribute of a run as a setting, {} for one that Aim notes itself; `hparams` is the usual group."""
    if str(group).startswith(OF_THE_CLIENT):
        return {}
    return {"/".join(map(str, rest if group == "hparams" and rest else (group, *rest))): value}


def decoded(found: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[Keys, Any]]:
    """Yield the path of each key, and its number, words or bytes; flags of arrays and objects are None."""
    for key, value in found:
        kind = value[0] if value else 0
        try:
            path = tuple(_path(key))
            if kind == _WORDS:
                yield path, value[1:].decode("utf-8", "replace")
            elif kind == _BYTES:
                yield path, value[1:]
            else:
                yield path, struct.unpack(_KINDS[kind], value[1:])[0] if kind in _KINDS else None
        except (ValueError, struct.error):
            continue  # what is no path is no value either


def _path(key: bytes) -> Iterator[str | int]:
    at = 0
    while at < len(key):
        if key[at] == _END:
            yield struct.unpack_from(">q", key, at + 1)[0]
            at += 10
        else:
            end = key.index(_END, at)
            yield key[at:end].decode("utf-8", "replace")
            at = end + 1
