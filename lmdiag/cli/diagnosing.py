"""From the paths and options of a command to a report."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from lmdiag.cli import say
from lmdiag.cli.accepted import Accepted, complaints, in_force, read_baseline
from lmdiag.cli.gate import check_settings, chosen_rules
from lmdiag.cli.judging import Judged, Judging, without_copies
from lmdiag.cli.options import settings_from
from lmdiag.cli.progress import Progress
from lmdiag.cli.reading import Group, reading_options, sources_at
from lmdiag.config import Settings
from lmdiag.fleet import each, light, worthwhile_jobs
from lmdiag.reports.report import Report

FEW = 20  # so many runs are kept whole


def diagnose_paths(paths: tuple[str, ...], options: Mapping[str, Any], charts: bool = False) -> Report:
    """Read and diagnose the logs at the paths.

    `options` are the values of `options.CONFIGURING`, `READING` and, where the command has them, `FAILING` and `MANY`.
    Settings are checked before anything is read. Of many logs only what reports show is kept, with `charts` more of it.
    """
    settings = checked_settings(options)
    today = datetime.date.today()
    reading = reading_options(options)
    groups, unreadable = sources_at(paths)
    found = [source for group in groups for source in group.sources]
    jobs, scheduler = options.get("jobs") or worthwhile_jobs(found), options.get("scheduler") or ""
    many = len(found) > FEW or jobs > 1 or bool(scheduler)
    prints = any(group.is_folder for group in groups)
    task = Judging(settings, accepted_by(settings, today), reading, many, charts, prints)
    judged = [part for group in _judged(groups, task, jobs, scheduler) for part in group]
    report = Report(
        tuple(diagnosis for part in judged for diagnosis in part.diagnoses),
        (*unreadable, *(problem for part in judged for problem in part.unreadable)),
        chosen_rules(settings),
        settings.fail_on,
        tuple(gone for part in judged for gone in part.suppressed),
    )
    for complaint in complaints(settings.suppress, report, today):
        say(f"warning: {complaint}")
    return report


def _judged(groups: Sequence[Group], task: Judging, jobs: int, scheduler: str) -> Iterator[list[Judged]]:
    """Yield what came of the sources of each group, without copies of a run in one folder."""
    sources = [source for group in groups for source in group.sources]
    charted: Counter[str] = Counter()
    with Progress("logs checked") as progress:
        coming = enumerate(each(task, sources, task.lost, jobs, scheduler))
        for group in groups:
            found = []
            for done, part in islice(coming, len(group.sources)):
                progress.tell(done, len(sources))
                found.append(_as_far_as_charted(part, charted) if task.many and task.charts else part)
            yield without_copies(found) if group.is_folder else found


def _as_far_as_charted(part: Judged, charted: Counter[str]) -> Judged:
    """Keep what charts need only of the first runs of each verdict: a page has room for few."""
    charted.update(diagnosis.verdict for diagnosis in part.diagnoses)
    return part if all(charted[d.verdict] <= FEW for d in part.diagnoses) else part.changed(light)


def accepted_by(settings: Settings, today: datetime.date) -> Accepted:
    """Return the findings that do not count: suppressions still in force, and those of the baseline."""
    known = read_baseline(Path(settings.baseline)) if settings.baseline else frozenset()
    return Accepted(in_force(settings.suppress, today), known, settings.baseline)


def checked_settings(options: Mapping[str, Any]) -> Settings:
    """Return the settings that the options and the settings files add up to, once they are known to fit."""
    settings = settings_from(options)
    check_settings(settings)
    return settings
