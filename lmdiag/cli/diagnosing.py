"""From the paths and options of a command to a report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmdiag.cli.gate import checked_rule_settings, chosen_rules
from lmdiag.cli.options import settings_from
from lmdiag.cli.reading import read_runs, reading_options
from lmdiag.config import Settings
from lmdiag.diagnose import diagnose
from lmdiag.reports.report import Report


def diagnose_paths(paths: tuple[str, ...], options: Mapping[str, Any]) -> tuple[Report, Settings]:
    """Read and diagnose the logs at the paths; return the report, and the settings it was made with.

    `options` are the values of `options.CONFIGURING`, `READING` and, where the command has them, `FAILING`. Settings are
    checked before anything is read.
    """
    fail_on = "never" if options.get("exit_zero") else options.get("fail_on")
    settings = settings_from(options["select"], options["ignore"], options["config"], options["isolated"], fail_on)
    rules, rule_settings = chosen_rules(settings), checked_rule_settings(settings)
    runs, unreadable = read_runs(paths, reading_options(options))
    return Report(tuple(diagnose(run, rules, rule_settings) for run in runs), tuple(unreadable), rules), settings
