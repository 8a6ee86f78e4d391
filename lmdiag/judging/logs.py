"""The one door: paths -> a report on every run that they name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from msgspec import structs

from lmdiag.config import Settings, load
from lmdiag.diagnose import Diagnosis
from lmdiag.fleet import each, worthwhile_jobs
from lmdiag.judging.baseline import accepted_by
from lmdiag.judging.judged import ALL, CHARTS, TEXT, Judged, Judging, judged_runs, unreadable, without_duplicates
from lmdiag.judging.policy import check_settings, chosen_rules
from lmdiag.judging.reading import Group, Progress, groups_at, listed
from lmdiag.readers.options import ReadOptions
from lmdiag.reports.left_out import PassedOver, Unreadable
from lmdiag.reports.report import Report
from lmdiag.run import Run
from lmdiag.sources.source import Source

FEW, MANY = 20, 1000  # so many runs are kept whole; of more than so many, values are kept on disk


def judge(
    paths: str | Path | Iterable[str | Path],
    settings: Settings | None = None,
    options: ReadOptions | None = None,
    *,
    jobs: int = 0,
    scheduler: str = "",
    keep: str = ALL,
    copies: bool = False,
    cache: str = "",
    progress: Progress = lambda done, total: None,
) -> Report:
    """Read and judge every run in files, folders, globs and addresses, as `lmdiag check` does.

    Without `settings`, those of the project's `pyproject.toml` or `lmdiag.toml` hold. They are checked before anything is
    read: BadSetting is raised for a rule or a setting that does not exist. What cannot be read is listed in the report
    beside the rest; so are, in a line, the logs that an interrupt left. `jobs` is a number of processes, 0 for as many as pay off; `scheduler` the address of a Dask scheduler.
    Of many logs only what reports show is kept unless `keep` is "all": "text", or "charts" for those that draw. A run that
    a folder holds twice is reported once, without `copies`. With a `cache`, "times" or "content", a log is not read again unless
    these of its file have changed since an earlier check.

    >>> report = judge("sample_logs/divergence.jsonl", Settings())
    >>> report.verdict, report.diagnoses[0].findings[0].rule
    ('unhealthy', 'lr-too-high')
    """
    if not isinstance(settings, Settings | None):
        raise TypeError(f"settings are lmdiag.config.Settings, not {type(settings).__name__}")
    settings = load(Path.cwd()) if settings is None else settings
    check_settings(settings)
    groups, problems = groups_at(listed(paths), settings)
    sources = [source for group in groups for source in group.sources]
    few = len(sources) <= FEW and (jobs or worthwhile_jobs(sources)) == 1 and not scheduler and not cache
    compared = not copies and any(group.is_folder for group in groups)
    task = Judging(settings, accepted_by(settings), options or ReadOptions(), ALL if few else keep, compared)

    def judged(task: Judging, some: Sequence[Source]) -> Iterator[Judged]:
        return each(task, some, task.lost, jobs or worthwhile_jobs(some), scheduler)

    if cache:
        from lmdiag.judging.remembered import Remembered, cache_folder

        coming = Remembered(task, cache, cache_folder(), sources).each(judged)
    else:
        coming = judged(task, sources)
    if task.keep != ALL:
        coming = _sharing(coming)
    if task.keep == TEXT and len(sources) > MANY:
        coming = _shelved(coming)
    parts = [part for group in _by_group(groups, coming, task.keep, progress) for part in group]
    left_out = Judged(
        unreadable=tuple(unreadable(*problem) for problem in problems),
        passed_over=tuple(PassedOver(*passed) for group in groups for passed in group.passed_over),
    )
    return report_of([left_out, *parts], settings)


def report_on(runs: Iterable[Run], settings: Settings) -> Report:
    """Return the report on runs that are in memory already."""
    check_settings(settings)
    return report_of([judged_runs(list(runs), settings, accepted_by(settings))], settings)


def report_of(parts: Sequence[Judged], settings: Settings) -> Report:
    """Return the report on the results for some sources."""
    return Report(
        tuple(diagnosis for part in parts for diagnosis in part.diagnoses),
        tuple(gone for part in parts for gone in part.unreadable),
        chosen_rules(settings),
        settings.fail_on,
        tuple(gone for part in parts for gone in part.suppressed),
        tuple(file for part in parts for file in part.passed_over),
    )


def _by_group(
    groups: Sequence[Group], coming: Iterator[Judged], keep: str, progress: Progress
) -> Iterator[list[Judged]]:
    """Yield the results for the sources of each group, each run of a folder once."""
    charted: Counter[str] = Counter()
    done, total = 0, sum(len(group.sources) for group in groups)
    interrupted = False
    for group in groups:
        parts = []
        try:
            for part in islice(coming, len(group.sources)):
                progress(done, total)
                done += 1
                parts.append(_as_far_as_charted(part, charted) if keep == CHARTS else part)
        except KeyboardInterrupt:
            if not done:
                raise
            interrupted = True
            parts.append(Judged(unreadable=(_not_checked(total - done),)))
        if parts and all(part.passed_over and not part.diagnoses for part in parts):
            parts.append(Judged(unreadable=(unreadable(*group.without_log),)))
        yield without_duplicates(parts) if group.is_folder else parts
        if interrupted:
            return


def _sharing(coming: Iterator[Judged]) -> Iterator[Judged]:
    """Yield results that share what many runs say alike, as the reasons of rules that could not look: more than half of what is kept."""
    known: dict[tuple[object, ...], Any] = {}

    def shared(diagnosis: Diagnosis) -> Diagnosis:
        alike = (diagnosis.asked, diagnosis.not_checked, diagnosis.run.account)
        asked, refusals, account = (known.setdefault(said, said) for said in alike)
        return replace(diagnosis, asked=asked, not_checked=refusals, run=replace(diagnosis.run, account=account))

    return (part.changed(shared) for part in coming)


def _shelved(coming: Iterator[Judged]) -> Iterator[Judged]:
    """Yield results of which the values lie on disk, those to draw and those to find duplicates by: few of them are asked for."""
    from lmdiag.fleet.shelf import Shelf

    shelf = Shelf()

    def light(diagnosis: Diagnosis) -> Diagnosis:
        run = diagnosis.run
        return replace(diagnosis, run=replace(run, series=shelf.put(run.series), decided=shelf.put(run.decided)))

    for part in coming:
        prints = tuple(replace(found, series=shelf.put(found.series)) for found in part.fingerprints)
        yield structs.replace(part.changed(light), fingerprints=prints)


def _not_checked(logs: int) -> Unreadable:
    """Return what to say of the logs that were left when somebody pressed Ctrl-C: those that were judged are reported."""
    which = f"{logs:,} other log{'s' if logs > 1 else ''}"
    return Unreadable(
        which, "not checked: interrupted", "run the command again; with --cache it goes on where it stopped"
    )


def _as_far_as_charted(part: Judged, charted: Counter[str]) -> Judged:
    """Keep what charts need only of the first runs of each verdict: a page has room for few."""
    from lmdiag.fleet.slim import slimmed

    charted.update(diagnosis.verdict for diagnosis in part.diagnoses)
    return part if all(charted[d.verdict] <= FEW for d in part.diagnoses) else part.changed(slimmed)


__all__ = ["ALL", "CHARTS", "TEXT", "judge", "report_of", "report_on"]
