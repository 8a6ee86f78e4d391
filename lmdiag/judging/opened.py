"""Which files and folders a reading looked into, as the interpreter itself tells (PEP 578): its result depends on these."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

EVENTS = frozenset({"open", "os.listdir", "os.scandir", "sqlite3.connect"})
_heard: list[set[str]] = []  # of the readings at work
_hooked: list[bool] = []


@contextmanager
def opened() -> Iterator[set[str]]:
    """Gather what is opened and listed until the end of the block, without what belongs to Python and its packages."""
    if not _hooked:
        _hooked.append(True)
        sys.addaudithook(_hear)  # once: a hook cannot be taken off
    found: set[str] = set()
    _heard.append(found)
    try:
        yield found
    finally:
        _heard.remove(found)
        found -= {path for path in found if _is_of_python(path)}


def _hear(event: str, arguments: tuple[object, ...]) -> None:
    if _heard and event in EVENTS and isinstance(arguments[0], (str, bytes, os.PathLike)):
        path = os.path.abspath(os.fsdecode(arguments[0]))
        for found in _heard:
            found.add(path)


def _is_of_python(path: str) -> bool:
    """Tell whether a path is one that imports look at, or no file of a disk."""
    roots = (sys.prefix, sys.base_prefix, str(Path(__file__).parents[1]), "/proc", "/sys", "/dev")
    below = any(path == root or path.startswith(root.rstrip(os.sep) + os.sep) for root in roots)
    return below or path in map(os.path.abspath, sys.path) or not os.path.exists(path)
