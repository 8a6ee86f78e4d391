"""Paths -> sources -> runs; what cannot be read is returned beside them, and never hides the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from os import PathLike, fspath
from pathlib import Path

from msgspec import Struct

from lmdiag.config import Settings
from lmdiag.errors import LmdiagError, NoValues, UnreadableLog
from lmdiag.gather import runs_in
from lmdiag.metrics import METRICS
from lmdiag.readers import OF_ANY_DATA, is_log, read_source, reader_for, reader_of
from lmdiag.readers.options import ReadOptions
from lmdiag.run import Run
from lmdiag.sources.addresses import is_tracked
from lmdiag.sources.find import find as find_sources
from lmdiag.sources.find import identity, is_folder
from lmdiag.sources.source import Source

Problem = tuple[str, LmdiagError]  # the name of what could not be read, and why
Progress = Callable[[int, int], None]  # is told how many of how many logs are done


class Group(Struct, frozen=True):
    """The sources that one path names; in a folder, several of them may hold the same run, or parts of it.

    `passed_over` are files of a folder that are called like logs and are none, each with the reason.
    """

    path: str
    sources: tuple[Source, ...]
    is_folder: bool
    passed_over: tuple[tuple[str, str], ...] = ()

    @property
    def without_log(self) -> Problem:
        """What to say where every source turned out to be no log."""
        return self.path, _without_log(self.path)


def _without_log(path: str) -> UnreadableLog:
    if is_tracked(path):
        return UnreadableLog(f"{path}: no run has values", "they may have begun just now, or hold other runs")
    return UnreadableLog(f"{path}: no log was found", "name the file itself to learn what it lacks")


def find(
    paths: Iterable[str | Path],
    passed_over: Callable[[str, str], None] = lambda name, why: None,
    settings: Settings | None = None,
) -> tuple[list[Source], list[LmdiagError]]:
    """Return the logs that files, folders, globs and `-` name, and what could not be found.

    In a folder, a file is a log, too, where the settings say how to read it.
    """

    def is_one(source: Source) -> bool:
        return options_for(source, settings) != ReadOptions() or is_log(source)

    named, problems = find_sources(paths, reader_of, is_one if settings and settings.per_path else is_log, passed_over)
    found: list[Source] = []
    for source in named:
        if not source.tracked:
            found.append(source)
            continue
        from lmdiag.trackers import runs_at  # few runs are asked for on a server

        try:
            for run in runs_at(source.url):  # what is found before a page fails is judged
                found.append(run)
        except UnreadableLog as problem:
            problems.append(problem)
    return found, problems


def options_for(source: Source, settings: Settings | None, given: ReadOptions | None = None) -> ReadOptions:
    """Return how to read a source: as it is `given` with the command, else as the settings for its path say."""
    if settings is None or not settings.per_path or (given is not None and given != ReadOptions()):
        return given or ReadOptions()
    from lmdiag.reports.locations import relative_path  # few projects have settings for single paths

    own = settings.for_path(relative_path(source.name))
    return ReadOptions(own.reader, own.map, own.pattern)


def groups_at(paths: Iterable[str | Path], settings: Settings | None = None) -> tuple[list[Group], list[Problem]]:
    """Return the sources that each path names, each source once, and what could not be found."""
    found: list[tuple[str, dict[str, Source], list[tuple[str, str]]]] = []
    problems: list[Problem] = []
    for path in map(_checked, paths):
        passed: list[tuple[str, str]] = []
        sources, missing = find([path], partial(_noted, passed), settings)
        problems += [(path, problem) for problem in missing]
        if not sources and not missing:  # nobody may take this for a run without findings
            problems.append((path, _without_log(path)))
        found.append((path, {identity(source): source for source in sources}, passed))
    by_name = {key for _, known, _ in found for key, source in known.items() if not source.met}
    seen: set[str] = set()
    told: set[tuple[str, str]] = set()
    groups: list[Group] = []
    for path, known, passed in found:
        new = tuple(_as_named(source, key in by_name) for key, source in known.items() if key not in seen)
        folder = is_folder(path)
        said = tuple(entry for entry in passed if entry not in told)
        groups.append(Group(path, _together(new) if folder else new, folder, said))
        seen |= known.keys()
        told.update(passed)
    return groups, problems


def _as_named(source: Source, named: bool) -> Source:
    return replace(source, met=False) if source.met and named else source


def _together(sources: tuple[Source, ...]) -> tuple[Source, ...]:
    from lmdiag.sources.beside import together  # nothing stands beside a log that is named

    return tuple(together(sources))


def listed(paths: str | Path | Iterable[str | Path]) -> list[str | Path]:
    """Return the paths that were given, one or several."""
    if isinstance(paths, str | PathLike):
        return [paths]
    if not isinstance(paths, Iterable):
        raise TypeError(f"a path or a list of paths is wanted, not {type(paths).__name__}")
    return list(paths)


def _checked(path: str | Path) -> str:
    if not isinstance(path, str | PathLike) or not isinstance(given := fspath(path), str):
        raise TypeError(f"a path is a str or a Path, not {type(path).__name__}")
    return given


def _noted(passed: list[tuple[str, str]], name: str, why: str) -> None:
    passed.append((name, why))


def is_foreign(source: Source, problem: LmdiagError) -> bool:
    """Tell whether a source that could not be read is other data that lies in a folder beside logs, or a run without values
    among others on a server."""
    if not source.met or not isinstance(problem, NoValues):
        return False
    return source.tracked or reader_for(source) in OF_ANY_DATA


def runs_of(source: Source, options: ReadOptions | None = None) -> list[Run]:
    """Return every run that a source holds; raise UnreadableLog where there is none."""
    if source.tracked:
        from lmdiag.trackers import read

        return runs_in(read(source, options or ReadOptions()), source.name)
    if source.older:
        return _whole_runs(source, options)
    if not source.url:
        runs = runs_in(read_source(source, options), source.name)
        if source.met and not any(map(_tells_of_training, runs)) and reader_for(source) in OF_ANY_DATA:
            raise NoValues(f"{source.name} holds no metric of a training run", "name the file itself if it is a log")
        return runs
    from lmdiag.sources.remote import at_hand  # a folder that another machine has found may not be on this one

    with at_hand(source) as here:
        return runs_in(read_source(here, options), here.name)


def _whole_runs(source: Source, options: ReadOptions | None) -> list[Run]:
    """Return the runs of a log that was cut while it grew: the lines of its parts are those of no file."""
    from lmdiag.sources.rotated import whole

    names = ", ".join(path.name for path in source.older)
    note = f"{names} read in front of it: the log was cut while it grew."
    return [_of_several_files(run, note) for run in runs_of(whole(source), options)]


def _of_several_files(run: Run, note: str) -> Run:
    series = {name: replace(s, lines=None) for name, s in run.series.items()}
    return replace(run, series=series, notes=(*run.notes, note))


def _tells_of_training(run: Run) -> bool:
    """Tell whether a run counts something, or has a header, events or a metric that trainings have."""
    known = any(name.rpartition("/")[2] in METRICS for name in run.series)
    return known or run.step_kind != "record" or bool(run.config or run.events)


def runs_beside(
    source: Source, options: ReadOptions | None = None, settings: Settings | None = None
) -> tuple[list[Run], list[tuple[Source, UnreadableLog]]]:
    """Return the runs of a source and of those beside it, stores of one run joined, and what could not be read."""
    found: list[tuple[str, list[Run]]] = []
    problems: list[tuple[Source, UnreadableLog]] = []
    for part in source.parts:
        try:
            found.append((part.name, runs_of(part, options_for(part, settings, options))))
        except UnreadableLog as problem:
            problems.append((part, problem))
    if len(found) < 2:
        return [run for _, runs in found for run in runs], problems
    from lmdiag.gather.stores import joined

    return joined(found), problems


def read_runs(
    paths: Iterable[str | Path],
    options: ReadOptions | None = None,
    progress: Progress = lambda done, total: None,
    settings: Settings | None = None,
) -> tuple[list[Run], list[Problem]]:
    """Return every run that the paths name, each source and each run of a folder once, and what could not be read."""
    groups, problems = groups_at(paths, settings)
    runs: list[Run] = []
    total, done = sum(len(group.sources) for group in groups), 0
    for group in groups:
        found: list[Run] = []
        foreign = 0
        for source in group.sources:
            progress(done, total)
            done += 1
            read, unread = runs_beside(source.fresh(), options, settings)
            found += read
            strange = [part for part, problem in unread if is_foreign(part, problem)]
            foreign += len(strange)
            problems += [(part.name, problem) for part, problem in unread if part not in strange]
        if foreign and foreign == sum(len(source.parts) for source in group.sources):
            problems.append(group.without_log)
        runs += _each_once(found) if group.is_folder and len(found) > 1 else found
    return runs, problems


def _each_once(runs: list[Run]) -> list[Run]:
    from lmdiag.gather.duplicates import without_duplicates

    return without_duplicates(runs)


def read_all(paths: str | Path | Sequence[str | Path]) -> list[Run]:
    """Read every run in files, folders or globs; raise UnreadableLog when there is none."""
    runs, problems = read_runs(listed(paths))
    if not runs:
        raise problems[0][1] if problems else UnreadableLog("no paths were given", "give a file, a folder or a glob")
    return runs


def read(path: str | Path, *, reader: str = "", mapping: Mapping[str, str] | None = None) -> Run:
    """Read the one run of a log; raise UnreadableLog when it holds none, or several."""
    runs, problems = read_runs([path], ReadOptions(reader, mapping or {}))
    if not runs:
        raise problems[0][1]
    if len(runs) > 1:
        names = ", ".join(run.name for run in runs[:5])
        raise UnreadableLog(
            f"{path} holds {len(runs)} runs: {names}{', …' if len(runs) > 5 else ''}", "use lmdiag.read_all"
        )
    return runs[0]
