"""GitLab Code Quality: the documented fields, relative paths, and fingerprints that are unique and stable."""

import json
from dataclasses import replace

from jsonschema import Draft202012Validator

from lmdiag.reports.gitlab import render
from lmdiag.reports.report import Report

# https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format
SCHEMA = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["description", "check_name", "fingerprint", "location", "severity"],
        "additionalProperties": False,
        "properties": {
            "description": {"type": "string", "minLength": 1},
            "check_name": {"type": "string", "pattern": "^[a-z-]+$"},
            "fingerprint": {"type": "string", "minLength": 1},
            "severity": {"enum": ["info", "minor", "major", "critical", "blocker"]},
            "location": {
                "type": "object",
                "required": ["path", "lines"],
                "properties": {
                    "path": {"type": "string", "pattern": r"^(?!\./|/)"},
                    "lines": {"type": "object", "properties": {"begin": {"type": "integer", "minimum": 1}}},
                },
            },
        },
    },
}


def issues(report):
    return json.loads(render(report))


def test_the_report_has_the_documented_form(report):
    Draft202012Validator(SCHEMA).validate(issues(report))
    assert issues(Report()) == []


def test_severities(report):
    assert [(issue["check_name"], issue["severity"]) for issue in issues(report)] == [
        ("divergence", "major"),
        ("non-finite-loss", "critical"),
        ("gradient-spike", "minor"),
        ("unreadable", "blocker"),
    ]


def test_fingerprints_differ_and_do_not_depend_on_steps_or_values(sick):
    twice = replace(sick, findings=(sick.findings[0], replace(sick.findings[0], first_step=1500), sick.findings[2]))
    moved = replace(twice, findings=tuple(replace(f, first_step=f.first_step + 3, message="…") for f in twice.findings))
    before, after = ([issue["fingerprint"] for issue in issues(Report((d,)))] for d in (twice, moved))
    assert before == after
    assert len(set(before)) == 3
