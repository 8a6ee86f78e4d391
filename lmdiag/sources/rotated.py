"""Logs that were cut while they grew, as `logging.handlers` and logrotate do: `train.log.2`, `train.log.1`, `train.log` are one.

train.log.1   the number grows with the age, from 1 on
train.log.2026-03-01, train.log.2026-03-01_10-11-12   the day or the time until which it was written
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from lmdiag.sources.log_names import OF_A_PROCESS
from lmdiag.sources.source import Source

_PART = re.compile(
    r"(?P<log>.+)\.(?:(?P<number>[1-9]\d{0,2})|(?P<time>\d{4}-\d\d-\d\d(?:_\d\d(?:-\d\d){0,2})?))(?:\.gz|\.zst)?"
)


def with_older(sources: Iterable[Source]) -> Iterator[Source]:
    """Yield the sources, each file with its `older` parts, which lie beside it, the oldest first."""
    folders: dict[Path, dict[str, tuple[Path, ...]]] = {}
    for source in sources:
        if source.path is None or source.is_folder:
            yield source
            continue
        folder = source.path.parent
        if folder not in folders:
            folders[folder] = _parts_in(folder)
        older = folders[folder].get(source.path.name, ())
        yield replace(source, older=older) if older else source


def whole(source: Source) -> Source:
    """Return a source that holds its older parts, too."""
    parts = [*(Source(path.as_posix(), path) for path in source.older), replace(source, older=())]
    return replace(source, older=(), content=b"\n".join(part.utf8.rstrip(b"\r\n") for part in parts) + b"\n")


def _parts_in(folder: Path) -> dict[str, tuple[Path, ...]]:
    """Return the parts of each log in a folder; numbers that leave one out, as those of ranks or seeds may, are none."""
    numbered: dict[str, dict[int, Path]] = {}
    timed: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        match = _PART.fullmatch(path.name)
        if match is None or OF_A_PROCESS.fullmatch(path.name.lower()) or not path.is_file():
            continue
        if match["number"]:
            numbered.setdefault(match["log"], {})[int(match["number"])] = path
        else:
            timed.setdefault(match["log"], {})[match["time"]] = path
    found = {log: tuple(path for _, path in sorted(parts.items())) for log, parts in timed.items()}
    for log, by_age in numbered.items():
        if max(by_age) == len(by_age) and log not in found:
            found[log] = tuple(by_age[age] for age in sorted(by_age, reverse=True))
    return found
