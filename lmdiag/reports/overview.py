"""The end of the terminal report when there is more than one run: a table of all runs, worst first."""

from __future__ import annotations

from collections.abc import Iterator

from lmdiag.diagnose import Diagnosis
from lmdiag.reports.entries import count_alarms, main_finding, worst_first
from lmdiag.reports.phrases import count, source_of
from lmdiag.reports.report import Report
from lmdiag.reports.summary import last_header, last_value
from lmdiag.reports.terminal import Style, aligned, verdict_look

HEALTHY_SHOWN = 20  # more healthy runs than this are only counted
HEADER = ["verdict", "steps", "{last}", "alarms", "main finding", "run"]


def overview(report: Report, style: Style) -> Iterator[str]:
    """Yield a header and one line per run."""
    healthy = sum(d.verdict == "healthy" for d in report.diagnoses)
    hidden = 0 if style.verbose else max(healthy - HEALTHY_SHOWN, 0)
    shown = worst_first(report.diagnoses)[: len(report.diagnoses) - hidden]
    titles = [title.format(last=last_header(d.run for d in shown)) for title in HEADER]
    header, *rows = aligned([titles, *map(_cells, shown)], "<>>><<")
    yield style.paint("  ".join(header).rstrip(), dim=True)
    for diagnosis, (verdict, *cells) in zip(shown, rows, strict=True):
        yield "  ".join([style.paint(verdict, verdict_look(diagnosis.shown)[1]), *cells])
    if hidden:
        yield style.paint(f"… and {count(hidden, 'more healthy run')}: -v lists them.", dim=True)


def _cells(diagnosis: Diagnosis) -> list[str]:
    return [
        verdict_look(diagnosis.shown)[0],
        f"{diagnosis.run.last_step:,}",
        last_value(diagnosis.run),
        str(sum(count_alarms(diagnosis)) or "–"),
        main_finding(diagnosis),
        source_of(diagnosis.run),
    ]
