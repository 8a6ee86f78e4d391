"""SARIF: valid by an independent model of the 2.1.0 schema, and with what code scanning needs to show an alert."""

import json
from dataclasses import replace

import pytest
from pydantic import ValidationError
from pydantic_sarif.model import StaticAnalysisResultsFormatSarifVersion210JsonSchema as Sarif

from lmdiag.reports.report import Report
from lmdiag.reports.sarif import document, render
from lmdiag.rules import RULES


def test_the_report_is_valid(report):
    Sarif.model_validate_json(render(replace(report, rules=RULES)))
    Sarif.model_validate_json(render(Report()))


def test_the_model_is_strict_enough_to_mean_something(report):
    broken = document(report)
    broken["runs"][0]["results"][0]["levle"] = "error"
    with pytest.raises(ValidationError):
        Sarif.model_validate(broken)


def test_one_sarif_run_holds_all_training_runs(report):
    assert len(json.loads(render(report))["runs"]) == 1


def test_a_result_has_place_level_rule_and_fingerprint(report):
    run = document(report)["runs"][0]
    result = run["results"][0]
    rule = run["tool"]["driver"]["rules"][result["ruleIndex"]]
    assert (rule["id"], result["ruleId"], result["level"]) == ("divergence", "divergence", "error")
    place = result["locations"][0]["physicalLocation"]
    assert place == {"artifactLocation": {"uri": "runs/bad.jsonl"}, "region": {"startLine": 1, "endLine": 1}}
    assert len(result["partialFingerprints"]["lmdiagFinding/v1"]) == 64
    assert "\n1. Resume from the last checkpoint" in result["message"]["text"]
    assert result["properties"]["evidence"]["z"] == "Infinity"


def test_every_rule_that_looked_is_described(report):
    rules = document(replace(report, rules=RULES))["runs"][0]["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == [rule.name for rule in RULES]
    assert all(rule["help"]["markdown"] and rule["shortDescription"]["text"] for rule in rules)


def test_the_worst_results_come_first(report):
    levels = [result["level"] for result in document(report)["runs"][0]["results"]]
    assert levels == ["error", "error", "warning"]


def test_what_was_not_read_is_a_notification(report, healthy):
    invocation = document(report)["runs"][0]["invocations"][0]
    assert invocation["executionSuccessful"] is False
    assert "this is not a text file" in invocation["toolExecutionNotifications"][0]["message"]["text"]
    assert document(Report((healthy,)))["runs"][0]["invocations"] == [{"executionSuccessful": True}]


def test_a_path_with_blanks_is_a_uri(sick):
    odd = replace(sick, run=replace(sick.run, source="my runs/损失 1.jsonl"))
    uri = document(Report((odd,)))["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]
    assert uri == {"uri": "my%20runs/%E6%8D%9F%E5%A4%B1%201.jsonl"}
