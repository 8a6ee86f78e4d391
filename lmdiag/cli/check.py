"""`lmdiag check`: diagnose logs; the exit code is the verdict."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from lmdiag.cli.options import (
    COLOR,
    CONFIGURING,
    FAILING,
    READING,
    wants_color,
    width,
    with_options,
)
from lmdiag.config import Settings
from lmdiag.reports import FORMATS

if TYPE_CHECKING:
    from lmdiag.reports.report import Report

HELP = """Diagnose training logs, folders of logs, globs, or standard input (-).

\b
Exit codes:
  0  nothing at or above --fail-on
  1  something
  2  usage, configuration, unreadable input or internal error
  3  nothing could be judged
"""


@click.command(help=HELP)
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@with_options(CONFIGURING, FAILING)
@click.option(
    "--format",
    "-f",
    "shape",
    type=click.Choice(list(FORMATS)),
    default="text",
    envvar="LMDIAG_FORMAT",
    help="What to print; default: text.",
)
@click.option(
    "--output", "-o", metavar="FORMAT=FILE", multiple=True, help="Write the report to a file, too; may be repeated."
)
@with_options(READING)
@click.option(
    "--verbose", "-v", is_flag=True, help="Show everything: all advice, every rule that could not look and why."
)
@click.option("--quiet", "-q", is_flag=True, help="Print only runs with a finding at or above --fail-on.")
@with_options(COLOR)
def check(paths: tuple[str, ...], **options: Any) -> int:
    # NumPy would start a pool of threads for linear algebra, which costs as much time as the check of a small log.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from lmdiag.cli.diagnosing import diagnose_paths
    from lmdiag.cli.gate import exit_code
    from lmdiag.cli.output import checked_outputs, print_result, write_outputs

    outputs = checked_outputs(options["output"])
    report, settings = diagnose_paths(paths, options)
    write_outputs(report, outputs)
    print_result(_printed(report, settings, options))
    return exit_code(report, settings.fail_on)


def _printed(report: Report, settings: Settings, options: dict[str, Any]) -> str:
    from lmdiag.reports import render

    if options["quiet"]:
        report = _failing_only(report, settings.fail_on)
        if options["shape"] == "text" and not (report.diagnoses or report.unreadable):
            return ""
    if options["shape"] != "text":
        return render(report, options["shape"])
    from lmdiag.reports.look import Style

    return render(report, "text", style=Style(width(), wants_color(options["color"]), options["verbose"]))


def _failing_only(report: Report, fail_on: str) -> Report:
    from lmdiag.cli.gate import fails
    from lmdiag.reports.report import severity_of

    failing = (d for d in report.diagnoses if any(fails(severity_of(f), fail_on) for f in d.findings))
    return replace(report, diagnoses=tuple(failing))
