"""Paths, folders, globs, addresses and `-` -> the logs to read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from lmdiag.errors import LmdiagError, UnreadableLog
from lmdiag.sources import local
from lmdiag.sources.addresses import is_url
from lmdiag.sources.source import Folder, Source

if TYPE_CHECKING:
    from lmdiag.sources.folder import IsLog, PassedOver, Recognise


def find(
    paths: Iterable[str | Path], recognise: Recognise, is_log: IsLog, passed_over: PassedOver
) -> tuple[list[Source], list[LmdiagError]]:
    """Return every log that the paths name, each once, and what could not be found.

    A file is taken as it is; `recognise` and `is_log` choose among those of a folder, and `passed_over` is told of the rest.
    """
    sources: dict[str, Source] = {}
    problems: list[LmdiagError] = []
    for path in map(str, paths):
        with _said(path, problems):
            for found in _place(path).named(path):
                with _said(path, problems):  # one folder of many without a log hides none of the others
                    for source in _logs_of(found, recognise, is_log, passed_over):
                        sources.setdefault(identity(source), source.fresh())
    return list(sources.values()), problems


def identity(source: Source) -> str:
    """Return what stays the same whatever a source is called: an absolute path, a link to it, its address."""
    if source.tracked:
        return source.url
    if source.url:
        from lmdiag.sources.remote_files import identity_of

        return identity_of(source.url)
    return os.path.realpath(source.path) if source.path else source.name


def is_folder(path: str) -> bool:
    """Tell whether a path names a folder, in which the logs are to be found, and not the logs themselves."""
    answer: bool = _place(path).is_folder(path)
    return answer


@contextmanager
def _said(path: str, problems: list[LmdiagError]) -> Iterator[None]:
    """Add what goes wrong to the problems."""
    try:
        yield
    except LmdiagError as error:
        problems.append(error)
    except OSError as error:
        problems.append(UnreadableLog(f"cannot read {path}: {error.strerror or error}", "check that it may be read"))


def _logs_of(found: Source | Folder, recognise: Recognise, is_log: IsLog, passed_over: PassedOver) -> Iterable[Source]:
    if not isinstance(found, Folder):
        return [found]
    from lmdiag.sources.folder import logs_in  # a file needs none of it

    return logs_in(found, recognise, is_log, passed_over)


def _place(path: str) -> ModuleType:
    """Return who knows the machine that a path is on: both tell `is_folder(path)` and what is `named(path)`."""
    if is_url(path):
        from lmdiag.sources import remote

        return remote
    return local
