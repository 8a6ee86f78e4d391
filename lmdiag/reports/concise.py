"""The report with one line per finding, as compilers and linters print them: for editors, grep and long lists of runs."""

from __future__ import annotations

from collections.abc import Iterator

from lmdiag.diagnose import Diagnosis
from lmdiag.finding import severity_of
from lmdiag.reports.locations import lines_of
from lmdiag.reports.phrases import visible
from lmdiag.reports.report import Report
from lmdiag.run import Run


def render(report: Report) -> str:
    """Return lines of the form `path:line: severity: message [rule]`; healthy runs are not mentioned."""
    return "\n".join(lines(report))


def lines(report: Report) -> Iterator[str]:
    """Yield the line of every finding, of every run that could not be judged, and of every unreadable source."""
    for diagnosis in report.diagnoses:
        yield from _of_run(diagnosis)
    for unreadable in report.unreadable:
        yield f"{visible(unreadable.source)}:1: error: not read: {visible(unreadable.error)}"


def _of_run(diagnosis: Diagnosis) -> Iterator[str]:
    run = diagnosis.run
    for f in diagnosis.findings:
        where = f"{_path(run)}:{lines_of(run, f)[0]}: {severity_of(f).label}"
        cause = f", a consequence of {f.consequence_of}" if f.consequence_of else ""
        yield f"{where}: {_named(run)}{visible(f.message)} ({run.place(f.first_step, f.last_step)}{cause}) [{f.rule}]"
    if diagnosis.verdict == "not-judged":
        yield f"{_path(run)}:1: info: {_named(run)}not judged: {visible(diagnosis.unjudged)}"


def _path(run: Run) -> str:
    return visible(run.source or run.name)


def _named(run: Run) -> str:
    """Return the name of one of several runs in a source, to stand before its message."""
    _, several, name = run.name.partition("#")
    return f"{visible(name)}: " if several else ""
