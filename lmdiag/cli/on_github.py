"""What `check` adds where it runs in GitHub Actions: annotations, and the summary of the job."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from lmdiag.cli.streams import say
from lmdiag.reports.github import render, summary
from lmdiag.reports.report import Report


def tell_github(report: Report, annotate: bool) -> None:
    """Append the report to the summary of the job; with `annotate`, write annotations to standard error.

    Actions reads annotations from both streams; standard output stays the result alone.
    """
    file = os.environ.get("GITHUB_STEP_SUMMARY")
    if file:
        try:
            with Path(file).open("a", encoding="utf-8") as stream:
                stream.write(summary(report) + "\n")
        except OSError as error:
            say(f"warning: cannot write the summary of the job: {error.strerror}")
    commands = render(report) if annotate else ""
    if commands:
        print(commands, file=sys.stderr)
