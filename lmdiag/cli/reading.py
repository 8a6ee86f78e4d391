"""From the paths a user gives to runs in memory; what cannot be read never hides the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lmdiag.cli.options import pairs
from lmdiag.cli.progress import Progress
from lmdiag.errors import LmdiagError, UnreadableLog
from lmdiag.readers import find, reader_named, runs_of
from lmdiag.readers.discover import is_folder
from lmdiag.readers.options import ReadOptions
from lmdiag.readers.source import Source
from lmdiag.reports.report import Unreadable
from lmdiag.run import Run


@dataclass(frozen=True)
class Group:
    """The sources that one path names; in a folder, several of them may hold the same run."""

    sources: tuple[Source, ...]
    is_folder: bool


def sources_at(paths: Sequence[str]) -> tuple[list[Group], list[Unreadable]]:
    """Return the sources that each path names, each source once, and what could not be found."""
    groups: list[Group] = []
    unreadable: list[Unreadable] = []
    seen: set[str] = set()
    for path in paths:
        sources, missing = find([path])
        unreadable += [unreadable_source(path, problem) for problem in missing]
        new = tuple(source for source in sources if (source.url or source.name) not in seen)
        seen |= {source.url or source.name for source in new}
        groups.append(Group(new, is_folder(path)))
    return groups, unreadable


def read_runs(paths: Sequence[str], options: ReadOptions) -> tuple[list[Run], list[Unreadable]]:
    """Return every run that the paths name, each source once, and what could not be read."""
    groups, unreadable = sources_at(paths)
    runs: list[Run] = []
    total, done = sum(len(group.sources) for group in groups), 0
    with Progress("logs read") as progress:
        for group in groups:
            found: list[Run] = []
            for source in group.sources:
                progress.tell(done, total)
                done += 1
                try:
                    found += runs_of(source.fresh(), options)
                except UnreadableLog as problem:
                    unreadable.append(unreadable_source(source.name, problem))
            runs += _without_copies(found) if group.is_folder else found
    return runs, unreadable


def _without_copies(runs: list[Run]) -> list[Run]:
    from lmdiag.readers.copies import without_copies

    return without_copies(runs) if len(runs) > 1 else runs


def unreadable_source(source: str, problem: LmdiagError) -> Unreadable:
    """Return what could not be read and why; the source is not said twice."""
    from lmdiag.readers.remote import without_secrets

    source = without_secrets(source)
    error = (
        problem.message.removeprefix(f"{source} ")
        .removeprefix(f"{source}: ")
        .removeprefix(f"cannot read {source}: ")
        .removeprefix("is ")
        .removesuffix(f" {source}")
    )
    return Unreadable(source, error, problem.hint)


def reading_options(options: Mapping[str, Any]) -> ReadOptions:
    """Return how the user wants logs read; a reader that does not exist is an error before anything is read."""
    if options["reader"]:
        reader_named(options["reader"])
    return ReadOptions(options["reader"] or "", pairs(options["mapping"], "--map"), options["pattern"] or "")
