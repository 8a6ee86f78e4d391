"""The report as JSON lines, for programs that read a line at a time: a header, one line per run, finding and
unreadable source, and a summary as the last line. Every record has a `type`; findings name their run and source."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lmdiag.reports.json import document
from lmdiag.reports.report import Report
from lmdiag.strict_json import dumps


def render(report: Report) -> str:
    """Return one JSON object per line."""
    return "\n".join(dumps(record) for record in records(report))


def records(report: Report) -> Iterator[dict[str, Any]]:
    """Yield the records of the report in the order in which they are printed."""
    whole = document(report)
    yield {"type": "report", "schema": whole["schema"], "lmdiag": whole["lmdiag"]}
    for run in whole["runs"]:
        findings = run.pop("findings")
        yield {"type": "run", **run}
        for finding in findings:
            yield {"type": "finding", "run": run["name"], "source": run["source"], **finding}
    for unreadable in whole["unreadable"]:
        yield {"type": "unreadable", **unreadable}
    for gone in whole["suppressed"]:
        yield {"type": "suppressed", **gone}
    yield {
        "type": "summary",
        "verdict": whole["verdict"],
        "runs": len(report.diagnoses),
        "findings": len(report.findings),
        "unreadable": len(report.unreadable),
    }
