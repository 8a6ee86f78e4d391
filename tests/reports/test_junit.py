"""JUnit: read back by an independent parser, with every rule passed, failed or skipped."""

from dataclasses import replace

import pytest
from junitparser import JUnitXml

from lmdiag.reports.junit import render
from lmdiag.reports.left_out import Unreadable
from lmdiag.reports.report import Report
from lmdiag.rules import RULES


def parsed(report):
    return JUnitXml.fromstring(render(report).encode())


def test_every_rule_of_every_run_is_a_case(report, too_short):
    suites = list(parsed(report))
    assert [suite.name for suite in suites] == [
        "runs/good.jsonl",
        "runs/bad.jsonl",
        "runs/short.csv",
        "runs/broken.bin",
    ]
    sick = {case.name: case for case in suites[1]}
    assert set(sick) >= {rule.name for rule in RULES}
    assert [r.type for r in sick["divergence"].result] == ["error"]
    assert sick["loss-spike"].is_passed
    assert sick["dead-layer"].is_skipped
    assert sick["dead-layer"].result[0].message == "the log has no per-layer statistics"


def test_the_counts_are_right(report):
    root = parsed(report)
    cases = [case for suite in root for case in suite]
    assert root.tests == len(cases)
    assert (root.failures, root.errors) == (2, 1)
    assert root.skipped == sum(case.is_skipped for case in cases) == 1 + 3 + 1


@pytest.mark.parametrize(("fail_on", "failures"), [("error", 2), ("warning", 3), ("never", 0)])
def test_a_case_fails_when_the_gate_would(report, fail_on, failures):
    assert parsed(replace(report, fail_on=fail_on)).failures == failures


def test_a_finding_that_does_not_fail_is_still_told(report):
    case = next(case for case in list(parsed(report))[1] if case.name == "gradient-spike")
    assert case.is_passed
    assert "1. Clip the gradient norm at 0.9." in case.system_out


def test_a_failure_says_what_why_and_what_to_do(report):
    failure = next(case for case in list(parsed(report))[1] if case.name == "divergence").result[0]
    for said in ("Loss rose from 3.02", "rise 5.02", "1. Resume"):
        assert said in failure.text


def test_characters_that_xml_cannot_hold_do_not_break_it():
    report = Report((), (Unreadable("a\x00b\x1b", "<&\ud800>"),))
    assert [suite.name for suite in parsed(report)] == ["a?b?"]


def test_an_empty_report_is_a_valid_file():
    assert list(parsed(Report())) == []
