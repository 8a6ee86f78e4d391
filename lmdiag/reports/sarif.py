"""The report as SARIF 2.1.0, for code scanning. One SARIF run holds all training runs: services refuse files with many.

Specification: https://docs.oasis-open.org/sarif/sarif/v2.1.0/
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from lmdiag.diagnose import Diagnosis
from lmdiag.finding import Finding, Rule, Severity, severity_of
from lmdiag.reports.locations import fingerprints, lines_of, relative_path
from lmdiag.reports.report import Report
from lmdiag.strict_json import dumps, plain
from lmdiag.version import __version__

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
LEVELS = {Severity.INFO: "note", Severity.WARNING: "warning", Severity.ERROR: "error"}
MOST_RESULTS = 5000  # what code scanning shows


def render(report: Report) -> str:
    """Return the report as SARIF."""
    return dumps(document(report), indent=2)


def document(report: Report) -> dict[str, Any]:
    """Return the SARIF log as plain data."""
    rules = _used_rules(report)
    places = {rule.name: at for at, rule in enumerate(rules)}
    results = [result for diagnosis in report.diagnoses for result in _results(diagnosis, places)]
    run = {
        "tool": {"driver": _driver(rules)},
        "invocations": [_invocation(report)],
        "results": sorted(results, key=lambda r: list(LEVELS.values()).index(r["level"]), reverse=True)[:MOST_RESULTS],
        "columnKind": "unicodeCodePoints",
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _used_rules(report: Report) -> list[Rule]:
    from lmdiag.rules import RULES

    names = {finding.rule for _, finding in report.findings} | {rule.name for rule in report.rules}
    return [rule for rule in RULES if rule.name in names]


def _driver(rules: list[Rule]) -> dict[str, Any]:
    return {
        "name": "lmdiag",
        "version": __version__,
        "semanticVersion": __version__,
        "rules": [_descriptor(rule) for rule in rules],
    }


def _descriptor(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.name,
        "name": "".join(word.capitalize() for word in rule.name.split("-")),
        "shortDescription": {"text": f"{rule.title}."},
        "fullDescription": {"text": f"{rule.title}."},
        "help": {"text": rule.page, "markdown": rule.page},
        "defaultConfiguration": {"level": LEVELS[rule.severity]},
        "properties": {"tags": [rule.family], "problem.severity": _problem(rule.severity)},
    }


def _problem(severity: Severity) -> str:
    return "recommendation" if severity == Severity.INFO else severity.label


def _results(diagnosis: Diagnosis, places: dict[str, int]) -> list[dict[str, Any]]:
    return [
        _result(diagnosis, finding, fingerprint, places)
        for finding, fingerprint in zip(diagnosis.findings, fingerprints(diagnosis), strict=True)
    ]


def _result(diagnosis: Diagnosis, finding: Finding, fingerprint: str, places: dict[str, int]) -> dict[str, Any]:
    first, last = lines_of(diagnosis.run, finding)
    location = {
        "artifactLocation": {"uri": quote(relative_path(diagnosis.run.source), errors="surrogateescape")},
        "region": {"startLine": first, "endLine": last},
    }
    where = diagnosis.run.place(finding.first_step, finding.last_step)
    advice = "".join(f"\n{rank}. {text}" for rank, text in enumerate(finding.advice, 1))
    result = {
        "ruleId": finding.rule,
        "level": LEVELS[severity_of(finding)],
        "message": {"text": f"{diagnosis.run.name}, {where}: {finding.message}{advice}"},
        "locations": [{"physicalLocation": location}],
        "partialFingerprints": {"lmdiagFinding/v1": fingerprint},
        "properties": {
            "metric": finding.metric,
            "steps": [finding.first_step, finding.last_step],
            "evidence": plain(finding.evidence),
        },
    }
    return result | ({"ruleIndex": places[finding.rule]} if finding.rule in places else {})


def _invocation(report: Report) -> dict[str, Any]:
    """Say whether everything could be read; what could not is a notification."""
    notes = [
        {
            "level": "error",
            "message": {"text": f"{unreadable.source}: {unreadable.error}"},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": quote(relative_path(unreadable.source), errors="surrogateescape")}
                    }
                }
            ],
        }
        for unreadable in report.unreadable
    ]
    return {"executionSuccessful": not notes} | ({"toolExecutionNotifications": notes} if notes else {})
