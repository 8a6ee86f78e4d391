"""From the paths and options of a command to a report, with what is said on the way."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from lmdiag.cli.options import reading_options, settings_from
from lmdiag.cli.progress import Progress
from lmdiag.cli.streams import say
from lmdiag.errors import BadSetting
from lmdiag.judging.logs import CHARTS, TEXT, judge
from lmdiag.judging.suppressions import complaints
from lmdiag.reports.report import Report


def judge_paths(
    paths: tuple[str, ...], options: Mapping[str, Any], charts: bool = False, copies: bool = False
) -> Report:
    """Judge the logs at the paths; of many only what reports show is kept, with `charts` more of it, with `copies` each copy of a run, too.

    `options` are the values of `options.CONFIGURING`, `READING` and, where the command has them, `FAILING`, `FILTERING` and `MANY`.
    """
    settings = settings_from(options)
    jobs, scheduler, cache = options.get("jobs") or 0, options.get("scheduler") or "", options.get("cache") or ""
    if cache:
        from lmdiag.judging.remembered import cache_folder, problem_of

        if problem := problem_of(cache_folder()):
            say(f"warning: no cache: {problem}")
    with Progress("logs checked") as progress:
        report = judge(
            _filtered(paths, options),
            settings,
            reading_options(options),
            jobs=jobs,
            scheduler=scheduler,
            keep=CHARTS if charts else TEXT,
            copies=copies,
            cache=cache,
            progress=progress.tell,
        )
    for complaint in complaints(settings.suppress, report, datetime.date.today()):
        say(f"warning: {complaint}")
    return report


def say_unread(report: Report) -> None:
    """Say what could not be read, and what to do about it, where the report itself is not printed."""
    for lost in report.unreadable:
        say(f"not read: {lost.source}: {lost.error}" + (f"\nHint: {lost.hint}" if lost.hint else ""))


def _filtered(paths: Sequence[str], options: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the paths with what `FILTERING` asks for behind each address of a tracker.

    >>> _filtered(["mlflow://h/e?state=failed"], {"limit": "5", "tag": ("team=nlp",)})
    ('mlflow://h/e?state=failed&limit=5&tag=team%3Dnlp',)
    """
    from urllib.parse import urlencode

    from lmdiag.sources.addresses import is_tracked

    given = {
        name: options.get(name)
        for name in ("limit", "state", "tag", "since", "until")
        if options.get(name) not in (None, ())
    }
    if not given:
        return tuple(paths)
    if not any(map(is_tracked, paths)):
        raise BadSetting(
            f"--{next(iter(given))} is for runs on servers", "give it with an address such as mlflow://HOST:PORT/NAME"
        )
    query = urlencode(given, doseq=True)
    return tuple(f"{path}{'&' if '?' in path else '?'}{query}" if is_tracked(path) else path for path in paths)
