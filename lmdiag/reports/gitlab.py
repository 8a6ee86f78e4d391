"""The report as GitLab Code Quality."""

from __future__ import annotations

from typing import Any

from lmdiag.diagnose import Diagnosis
from lmdiag.finding import Finding, Severity, severity_of
from lmdiag.reports.locations import fingerprints, lines_of, relative_path
from lmdiag.reports.report import Report
from lmdiag.strict_json import dumps

SEVERITIES = {Severity.INFO: "info", Severity.WARNING: "minor", Severity.ERROR: "major"}


def render(report: Report) -> str:
    """Return a JSON list with one issue per finding; a source that was not read is a blocker."""
    issues = [issue for diagnosis in report.diagnoses for issue in _issues(diagnosis)]
    for unreadable in report.unreadable:
        path = relative_path(unreadable.source)
        text = f"{unreadable.source} was not read: {unreadable.error}"
        issues.append(_issue(text, "unreadable", f"unreadable {path}", "blocker", path, 1))
    return dumps(issues, indent=2)


def _issues(diagnosis: Diagnosis) -> list[dict[str, Any]]:
    path = relative_path(diagnosis.run.source)
    return [
        _issue(
            f"{diagnosis.run.name}, {diagnosis.run.place(finding.first_step, finding.last_step)}: {finding.message}",
            finding.rule,
            fingerprint,
            _severity(finding),
            path,
            lines_of(diagnosis.run, finding)[0],
        )
        for finding, fingerprint in zip(diagnosis.findings, fingerprints(diagnosis), strict=True)
    ]


def _severity(finding: Finding) -> str:
    severe = finding.family == "numerics" and severity_of(finding) == Severity.ERROR
    return "critical" if severe else SEVERITIES[severity_of(finding)]


def _issue(description: str, check_name: str, fingerprint: str, severity: str, path: str, line: int) -> dict[str, Any]:
    return {
        "description": description,
        "check_name": check_name,
        "fingerprint": fingerprint,
        "severity": severity,
        "location": {"path": path, "lines": {"begin": line}},
    }
