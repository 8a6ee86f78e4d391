"""From the paths a user gives to runs in memory; what cannot be read never hides the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lmdiag.cli.options import pairs
from lmdiag.cli.progress import Progress
from lmdiag.errors import LmdiagError, UnreadableLog
from lmdiag.readers import find, reader_named, runs_of
from lmdiag.readers.options import ReadOptions
from lmdiag.reports.report import Unreadable
from lmdiag.run import Run


def read_runs(paths: Sequence[str], options: ReadOptions) -> tuple[list[Run], list[Unreadable]]:
    """Return every run that the paths name, each source once, and what could not be read."""
    runs: list[Run] = []
    unreadable: list[Unreadable] = []
    seen: set[str] = set()
    with Progress("logs read") as progress:
        for path in paths:
            sources, missing = find([path])
            unreadable += [_unreadable(path, problem) for problem in missing]
            new = [source for source in sources if source.name not in seen]
            seen |= {source.name for source in new}
            found: list[Run] = []
            for done, source in enumerate(new):
                progress.tell(len(runs) + done, len(runs) + len(new))
                try:
                    found += runs_of(source, options)
                except UnreadableLog as problem:
                    unreadable.append(_unreadable(source.name, problem))
            runs += _without_copies(found) if Path(path).is_dir() else found
    return runs, unreadable


def _without_copies(runs: list[Run]) -> list[Run]:
    from lmdiag.readers.copies import without_copies

    return without_copies(runs) if len(runs) > 1 else runs


def _unreadable(source: str, problem: LmdiagError) -> Unreadable:
    """Return what could not be read and why; the source is not said twice."""
    error = (
        problem.message.removeprefix(f"{source} ")
        .removeprefix(f"{source}: ")
        .removeprefix("is ")
        .removesuffix(f" {source}")
    )
    return Unreadable(source, error, problem.hint)


def reading_options(options: Mapping[str, Any]) -> ReadOptions:
    """Return how the user wants logs read; a reader that does not exist is an error before anything is read."""
    if options["reader"]:
        reader_named(options["reader"])
    return ReadOptions(options["reader"] or "", pairs(options["mapping"], "--map"), options["pattern"] or "")
