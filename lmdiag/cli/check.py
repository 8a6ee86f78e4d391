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
    FILTERING,
    LOG_PATH,
    MANY,
    READING,
    settings_from,
    wants_color,
    width,
    with_options,
)
from lmdiag.reports import FORMATS

if TYPE_CHECKING:
    from lmdiag.reports.report import Report

HELP = """Judge training logs: files, folders, globs, standard input (-).

Runs on the servers of trackers have addresses, such as mlflow://HOST:PORT/EXPERIMENT.

\b
Exit codes:
  0  no finding at or above --fail-on
  1  at least one
  2  usage, configuration, unreadable input or internal error
  3  nothing could be judged
"""


class _Check(click.Command):
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read `--cache` alone as `--cache=times`: click would take the path behind it for its value."""
        return super().parse_args(ctx, ["--cache=times" if word == "--cache" else word for word in args])


@click.command(cls=_Check, help=HELP)
@click.argument("paths", metavar="PATH...", type=LOG_PATH, nargs=-1)
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
    "--output", "-o", metavar="FORMAT=FILE", multiple=True, help="Also write the report to a file; may be repeated."
)
@with_options(READING, FILTERING, MANY)
@click.option("--verbose", "-v", is_flag=True, help="Show all advice, and every rule that could not look and why.")
@click.option("--quiet", "-q", is_flag=True, help="Print only runs with a finding at or above --fail-on.")
@with_options(COLOR)
@click.option("--no-github", is_flag=True, help="In GitHub Actions, write no annotations and no job summary.")
@click.option(
    "--publish", is_flag=True, help="Write verdict and findings to the runs on a tracker's server, as tags or alerts."
)
@click.option("--dry-run", is_flag=True, help="Say what --publish would write, and write nothing.")
@click.option("--show-settings", is_flag=True, help="Print the settings in effect and exit.")
def check(paths: tuple[str, ...], **options: Any) -> int:
    # NumPy would start a pool of threads for linear algebra, which costs as much time as the check of a small log.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from lmdiag.cli.judging import judge_paths
    from lmdiag.cli.output import check_files, checked_outputs, print_result, write_outputs
    from lmdiag.judging.exit_codes import NOTHING_JUDGED, PASSED
    from lmdiag.judging.policy import check_settings, exit_code

    if options["show_settings"]:
        from lmdiag.cli.settings_toml import settings_toml

        settings = settings_from(options)
        check_settings(settings)
        print_result(settings_toml(settings))
        return PASSED
    if not paths:
        raise click.UsageError(
            "Missing argument: name a log, a folder, a glob, or - for standard input.", click.get_current_context()
        )
    if options["dry_run"] and not options["publish"]:
        raise click.UsageError("--dry-run says what --publish would write: give both.", click.get_current_context())
    if options["publish"]:
        from lmdiag.cli.publishing import check_addresses

        check_addresses(paths)
    outputs = checked_outputs(options["output"])
    check_files(outputs.values(), paths)
    report = judge_paths(paths, options, charts="html" in (options["shape"], *outputs))
    write_outputs(report, outputs)
    print_result(_printed(report, options), commands=options["shape"] == "github")
    if os.environ.get("GITHUB_ACTIONS") == "true" and not options["no_github"]:
        from lmdiag.cli.on_github import tell_github

        tell_github(report, annotate=options["shape"] in ("text", "concise"))
    if options["publish"]:
        from lmdiag.cli.publishing import publish

        publish(report, options["dry_run"])
    code = exit_code(report)
    if options["quiet"] and code == NOTHING_JUDGED:
        _say_why(report)
    return code


def _printed(report: Report, options: dict[str, Any]) -> str:
    from lmdiag.reports import render

    if options["quiet"]:
        report = _failing_only(report)
        if options["shape"] == "text" and not (report.diagnoses or report.unreadable):
            return ""
    if options["shape"] != "text":
        return render(report, options["shape"])
    from lmdiag.reports.terminal import Style

    return render(report, "text", style=Style(width(), wants_color(options["color"]), options["verbose"]))


def _say_why(report: Report) -> None:
    """Say on standard error why there is no verdict; the exit code alone does not."""
    from lmdiag.cli.streams import say
    from lmdiag.reports.phrases import source_of

    for diagnosis in report.diagnoses:
        say(f"{source_of(diagnosis.run)}: nothing could be judged: {diagnosis.unjudged}")


def _failing_only(report: Report) -> Report:
    from lmdiag.finding import fails, severity_of

    failing = [d for d in report.diagnoses if any(fails(severity_of(f), report.fail_on) for f in d.findings)]
    others = tuple(d for d in report.diagnoses if d not in failing)
    return replace(report, diagnoses=tuple(failing), others=others)
