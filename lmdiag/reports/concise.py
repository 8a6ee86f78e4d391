"""The report with one line per finding, for editors, grep and long lists of runs."""

from __future__ import annotations

from collections.abc import Iterator

from lmdiag.diagnose import Diagnosis
from lmdiag.finding import severity_of
from lmdiag.reports.phrases import source_of, visible
from lmdiag.reports.report import Report


def render(report: Report) -> str:
    """Return lines of the form `source: rule severity steps a-b message`; healthy runs are not mentioned."""
    return "\n".join(lines(report))


def lines(report: Report) -> Iterator[str]:
    """Yield the line of every finding, of every run that could not be judged, and of every unreadable source."""
    for diagnosis in report.diagnoses:
        yield from _of_run(diagnosis)
    for unreadable in report.unreadable:
        yield f"{unreadable.source}: unreadable {visible(unreadable.error)}"


def _of_run(diagnosis: Diagnosis) -> Iterator[str]:
    where = source_of(diagnosis.run)
    for f in diagnosis.findings:
        cause = f" (consequence of {f.consequence_of})" if f.consequence_of else ""
        yield (
            f"{where}: {f.rule} {severity_of(f).label} steps {f.first_step}-{f.last_step} {visible(f.message)}{cause}"
        )
    if diagnosis.verdict == "not-judged":
        yield f"{where}: not-judged {visible(diagnosis.unjudged)}"
