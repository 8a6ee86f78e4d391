"""From the paths and options of a command to a report."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lmdiag.cli import say
from lmdiag.cli.accepted import Accepted, complaints, in_force, read_baseline, without_accepted
from lmdiag.cli.gate import check_settings, chosen_rules, judge
from lmdiag.cli.options import settings_from
from lmdiag.cli.reading import read_runs, reading_options
from lmdiag.config import Settings
from lmdiag.reports.places import relative_path
from lmdiag.reports.report import Report, Suppressed


def diagnose_paths(paths: tuple[str, ...], options: Mapping[str, Any]) -> Report:
    """Read and diagnose the logs at the paths.

    `options` are the values of `options.CONFIGURING`, `READING` and, where the command has them, `FAILING`. Settings are
    checked before anything is read.
    """
    settings = checked_settings(options)
    today = datetime.date.today()
    accepted = accepted_by(settings, today)
    runs, unreadable = read_runs(paths, reading_options(options))
    diagnoses, suppressed = [], list[Suppressed]()
    for run in runs:
        diagnosis = judge(run, settings.for_path(relative_path(run.source)))
        kept, gone = without_accepted(diagnosis, accepted)
        diagnoses.append(kept)
        suppressed += gone
    report = Report(tuple(diagnoses), tuple(unreadable), chosen_rules(settings), settings.fail_on, tuple(suppressed))
    for complaint in complaints(settings.suppress, report, today):
        say(f"warning: {complaint}")
    return report


def accepted_by(settings: Settings, today: datetime.date) -> Accepted:
    """Return the findings that do not count: suppressions still in force, and those of the baseline."""
    known = read_baseline(Path(settings.baseline)) if settings.baseline else frozenset()
    return Accepted(in_force(settings.suppress, today), known, settings.baseline)


def checked_settings(options: Mapping[str, Any]) -> Settings:
    """Return the settings that the options and the settings files add up to, once they are known to fit."""
    settings = settings_from(options)
    check_settings(settings)
    return settings
