"""`lmdiag baseline`: remember today's findings, so that only new ones fail the gate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lmdiag.cli.options import CONFIGURING, LOG_PATH, READING, with_options


@click.command(help="Remember the findings of logs in a file. `check --baseline FILE` then fails only on new ones.")
@click.argument("paths", metavar="PATH...", type=LOG_PATH, nargs=-1, required=True)
@click.option(
    "--output",
    "-o",
    metavar="FILE",
    default="lmdiag-baseline.json",
    show_default=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write.",
)
@with_options(CONFIGURING, READING)
def baseline(paths: tuple[str, ...], output: Path, **options: Any) -> int:
    from lmdiag.cli.judging import judge_paths, say_unread
    from lmdiag.cli.output import check_files, write_file
    from lmdiag.cli.streams import say
    from lmdiag.judging.baseline import baseline_of
    from lmdiag.judging.exit_codes import TROUBLE
    from lmdiag.reports.phrases import count

    check_files([output], paths)
    report = judge_paths(paths, options | {"config": (*options["config"], "baseline=")}, copies=True)
    say_unread(report)
    if not report.diagnoses:
        say(f"{output} was left as it is: no run was read")
        return TROUBLE
    write_file(output, baseline_of(report))
    say(f"{output}: {count(len(report.findings), 'finding')} of {count(len(report.diagnoses), 'run')}")
    return TROUBLE if report.unreadable else 0
