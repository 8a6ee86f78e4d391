"""Logs of this machine: files, folders, globs, pipes and standard input."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import IO

from lmdiag.errors import UnreadableLog
from lmdiag.sources.lines import without_endless_line
from lmdiag.sources.source import Folder, Source

BELOW = ("/**", "/**/")  # the end of a pattern that means a folder
STREAM_BYTES = 1 << 20
LARGEST_STREAM = 1 << 30


def is_folder(path: str) -> bool:
    """Tell whether a path names a folder, in which the logs are to be found, and not the logs themselves."""
    return os.path.isdir(path) or path.endswith(BELOW)


def files_in(folder: Path, pattern: str) -> list[Path]:
    """Return the regular files of a folder that a pattern matches, sorted: a pipe among them would be waited for without end."""
    return sorted(path for path in folder.glob(pattern) if path.is_file())


def named(path: str) -> Iterator[Source | Folder]:
    """Yield the files that a path names, and the folders to look into; raise UnreadableLog where there is nothing."""
    if "\0" in path:
        raise UnreadableLog(f"no file has the name {path!r}", "a name cannot hold a zero character")
    if path == "-":
        yield Source("<stdin>", content=_all_of(sys.stdin.buffer, "<stdin>"))
    elif os.path.isdir(path):
        yield Folder(Path(path))
    elif os.path.isfile(path):
        yield Source(path, Path(path))
    elif os.path.exists(path):  # a pipe can be read only once
        with Path(path).open("rb") as stream:
            yield Source(path, content=_all_of(stream, path))
    else:
        yield from _matches(path)


def _all_of(stream: IO[bytes], name: str) -> bytes:
    return b"".join(_without_end(without_endless_line(iter(partial(stream.read, STREAM_BYTES), b""), name), name))


def _without_end(pieces: Iterable[bytes], name: str) -> Iterator[bytes]:
    """Yield the pieces, or raise UnreadableLog when they are more than the memory should hold."""
    total = 0
    for piece in pieces:
        total += len(piece)
        if total > LARGEST_STREAM:
            raise UnreadableLog(
                f"{name} holds more than {LARGEST_STREAM >> 20} MiB", "write it to a file, and name that"
            )
        yield piece


def _matches(path: str) -> Iterator[Source | Folder]:
    """Yield what fits a pattern; `runs/**` means the folder."""
    if path.endswith(BELOW):
        matches = [match for match in _glob(path.rstrip("/").removesuffix("/**")) if os.path.isdir(match)]
    else:
        matches = [match.rstrip("/") for match in _glob(path)] if glob.has_magic(path) else []
    if not matches:
        missing = f"{path} matches no file" if glob.has_magic(path) else f"there is no file {path}"
        raise UnreadableLog(missing, _similar(path))
    folders = {match for match in matches if os.path.isdir(match)}
    if len(folders) < len(matches):  # the files in a folder are matched one by one
        folders -= {os.path.dirname(match) for match in matches}
    for match in matches:
        if match in folders:
            yield Folder(Path(match))
        elif not os.path.isdir(match):
            yield Source(match, Path(match))


def _glob(pattern: str) -> list[str]:
    """Return what fits a pattern; `**` does not follow links to folders, which may lead in circles."""
    if os.path.exists(pattern):  # its name only looks like a pattern
        return [pattern]
    pattern = _with_folder_as_it_is(pattern)
    if "**" not in pattern:
        return sorted(glob.glob(pattern))
    fixed, _, rest = pattern.partition("**")
    folders = [folder for folder in glob.glob(fixed or ".") if os.path.isdir(folder)]
    found = (path for folder in folders for path in Path(folder).glob(f"**{rest}"))
    return sorted(
        path.as_posix() for path in found if not any(part.startswith(".") for part in path.parts if part != "..")
    )


def _with_folder_as_it_is(pattern: str) -> str:
    """Return the pattern with the folder that it begins with escaped, as far as there is one of that very name."""
    folder = os.path.dirname(pattern)
    while folder and not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return glob.escape(folder) + pattern.removeprefix(folder)


def _similar(path: str) -> str:
    from difflib import get_close_matches

    folder = os.path.dirname(path) or "."
    names = os.listdir(folder) if os.path.isdir(folder) else []
    close = get_close_matches(os.path.basename(path), names, n=1)
    return f"did you mean {os.path.join(os.path.dirname(path), close[0])}?" if close else "check the path"
