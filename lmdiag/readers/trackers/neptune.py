"""Neptune 1.x: the folders `run__…` below `.neptune/`, in which each line of `data-1.log` is an operation."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from msgspec import structs

from lmdiag.errors import UnreadableLog
from lmdiag.readers.numbers import counted
from lmdiag.readers.rawlog import RawLog, Source
from lmdiag.readers.trackers.metrics import tracked_run
from lmdiag.run import Skipped
from lmdiag.sources.local import files_in

FORMAT = "neptune"
OWNS_SUBFOLDERS = True
_DATA = re.compile(r"(?:(?:offline|async)/)?run__[^/]+/(?:exec-[^/]+/)?data-\d+\.log")
_OF_THE_CLIENT = ("sys", "monitoring", "source_code")
_NEARLY_ALL = 0.9


@dataclass
class _Found:
    """What the operations of a run say, {metric: [(time in ms, value, step)]} among it."""

    folder: str
    metrics: dict[str, list[tuple[int, float, int]]] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    name: str = ""
    parts: int = 1
    skipped: list[Skipped] = field(default_factory=list)

    @property
    def span(self) -> tuple[int, int]:
        """The first and the last step at which anything was logged."""
        steps = [step for points in self.metrics.values() for _, _, step in points] or [0]
        return min(steps), max(steps)


def can_read(name: str, head: bytes) -> bool:
    """Tell whether a folder is a run, `offline`, or `.neptune` with the folders of such."""
    files = head.decode("utf-8", "replace").split("\n") if name.endswith("/") else []
    alone = "metadata.json" in files and "data-1.log" in files and "last_put_version" in files
    return alone or any(map(_DATA.fullmatch, files))


def read(source: Source) -> list[RawLog]:
    """Read every run below the folder.

    An offline folder does not tell the id that a run was resumed by: one is taken to go on with the run before if it has
    its name and settings, and begins within its steps or right behind them.
    """
    assert source.path is not None
    folders = {path.parent for path in files_in(source.path, "**/data-*.log")}
    if not folders:
        raise UnreadableLog(f"{source.name} holds no operations of Neptune", "check that it was copied completely")
    runs: list[_Found] = []
    for part in map(_operations, sorted(folders, key=_begun)):
        before = next((k for k, run in enumerate(runs) if _goes_on(run, part)), None)
        if before is None:
            runs.append(part)
        else:
            runs[before] = _joined(runs[before], part)
    return [_log(run, source.name, len(runs)) for run in runs]


def _goes_on(run: _Found, later: _Found) -> bool:
    (first, last), (first_again, last_again) = run.span, later.span
    same = bool(run.name) and (run.name, run.settings) == (later.name, later.settings)
    return same and first < first_again <= last + 1 and last_again > last


def _begun(folder: Path) -> tuple[str, str]:
    beside = folder / "metadata.json"
    stated = _object(Source(beside.as_posix(), beside).text) if beside.is_file() else {}
    return str(stated.get("createdAt", "")), folder.as_posix()


def _operations(folder: Path) -> _Found:
    found = _Found(folder.name)
    files = sorted(files_in(folder, "data-*.log"), key=lambda path: (len(path.name), path.name))
    for path in files:
        for number, line in enumerate(Source(path.as_posix(), path).text.splitlines(), 1):
            try:
                _take(json.loads(line)["obj"], found)
            except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError, OverflowError):
                found.skipped.append(Skipped(number, f"{path.name}: not an operation: {line[:40]!r}"))
    return found


def _take(said: Mapping[str, Any], found: _Found) -> None:
    kind, (group, *rest) = said["type"], said["path"]
    if kind == "LogFloats" and group != "monitoring":
        points = found.metrics.setdefault("/".join((group, *rest)), [])
        for value in said["values"]:
            step = value["step"]
            step = len(points) if step is None else counted(step)
            points.append((counted(1000 * value["ts"]), float(value["value"]), step))
    elif kind.startswith("Assign") and group == "sys":
        found.name = str(said["value"]) if rest == ["name"] else found.name
    elif kind.startswith("Assign") and group not in _OF_THE_CLIENT:
        found.settings["/".join(rest if group == "parameters" else (group, *rest))] = said["value"]


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _joined(run: _Found, later: _Found) -> _Found:
    metrics = {
        name: [*run.metrics.get(name, ()), *later.metrics.get(name, ())] for name in {**run.metrics, **later.metrics}
    }
    return replace(run, metrics=metrics, parts=run.parts + 1, skipped=[*run.skipped, *later.skipped])


def _log(run: _Found, source: str, count: int) -> RawLog:
    name = run.name or run.folder
    log = tracked_run(
        FORMAT,
        f"{source.rstrip('/')}#{name}" if count > 1 else name,
        source,
        run.metrics,
        run.settings,
        None,
        run.skipped,
    )
    notes = list(log.notes)
    if run.parts > 1:
        notes.append(f"{run.parts} folders with the same name and settings, whose steps go on, were taken for one run.")
    if missing := ", ".join(f"{lacking:,} of {name}" for name, lacking in _missing(run.metrics)):
        notes.append(
            "Neptune 1 does not store NaN and infinities: values that are missing beside others of their step may be such "
            f"({missing})."
        )
    return structs.replace(log, notes=tuple(notes))


def _missing(metrics: Mapping[str, Iterable[tuple[int, float, int]]]) -> list[tuple[str, int]]:
    """Return of each metric that lacks a few of the steps of another one of its group, how many it lacks."""
    groups: dict[str, dict[str, int]] = {}
    for name, points in metrics.items():
        group, _, _ = name.rpartition("/")
        groups.setdefault(group, {})[name] = len({step for _, _, step in points})
    found = []
    for lengths in groups.values():
        fullest = max(lengths.values())
        found += [(n, fullest - many) for n, many in lengths.items() if _NEARLY_ALL * fullest <= many < fullest]
    return found
