"""MMEngine: a work folder with a folder for each start, in which `vis_data/` has the values and `config.py` the settings.

The console log and the event file beside them hold the same values; of the console log the events are read.
"""

from __future__ import annotations

import ast
import re
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from lmdiag.errors import UnreadableLog
from lmdiag.readers.json.lines import take
from lmdiag.readers.json.typed import TypedLines
from lmdiag.readers.rawlog import RawLog, Source
from lmdiag.readers.trackers.mmengine_rows import understood
from lmdiag.run import Event
from lmdiag.sources.local import files_in

FORMAT = "mmengine"
OWNS_SUBFOLDERS = True
_START = r"\d{8}_\d{6}"
_VALUES = re.compile(rf"^(?P<start>(?:{_START}/)?)vis_data/(?:{_START}|scalars)\.json$", re.MULTILINE)


def can_read(name: str, head: bytes) -> bool:
    """Tell whether a folder is that of one start, or holds the folders of several."""
    return name.endswith("/") and _VALUES.search(head.decode("utf-8", "replace")) is not None


def read(source: Source) -> list[RawLog]:
    """Read what each start wrote, one after the other: a resumed run writes to a folder of its own."""
    assert source.path is not None
    starts = sorted({match["start"] for match in _VALUES.finditer(source.head.decode("utf-8", "replace"))})
    lines, settings, events = TypedLines(take), dict[str, Any](), list[Event]()
    for start in starts:
        folder = source.path / start
        values = Source(f"{source.name}{start}", _values(folder / "vis_data"))
        for block in values.blocks():
            lines.add(block)
        settings |= _settings(folder / "vis_data" / "config.py")
        events += _events(folder)
    rows = lines.rows
    if len(starts) > 1:  # the lines of several files name no place
        rows.lines = array("q", bytes(8 * len(rows)))
        rows.skips = [replace(skip, line=0) for skip in rows.skips]
    log = rows.log(FORMAT, source.name, source=source.name, settings=settings, events=tuple(events))
    return [understood(log)]


def _values(folder: Path) -> Path:
    """Return the file with the values; `scalars.json` is a copy of the one that is named after the start."""
    return next(iter(files_in(folder, "[0-9]*.json")), folder / "scalars.json")


def _settings(path: Path) -> dict[str, Any]:
    """Return the settings of a config that MMEngine wrote: assignments of values, of lists, and of `dict(…)`."""
    try:
        lines = ast.parse(Source(path.as_posix(), path).text).body
    except (UnreadableLog, SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    return {
        line.targets[0].id: _literal(line.value)
        for line in lines
        if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name)
    }


def _literal(value: ast.expr) -> Any:
    """Return a value that is written down in Python, None where it would have to be computed."""
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "dict":
        return {word.arg: _literal(word.value) for word in value.keywords if word.arg}
    try:
        return ast.literal_eval(value)
    except (ValueError, TypeError, MemoryError, RecursionError):
        return None


def _events(folder: Path) -> Iterator[Event]:
    """Yield what the console log of a start says of checkpoints, errors and the end."""
    from lmdiag.readers.text import read as read_text  # printed formats are many

    for path in files_in(folder, "[0-9]*.log"):
        try:
            for log in read_text(Source(path.as_posix(), path)):
                yield from log.events
        except UnreadableLog:
            continue
