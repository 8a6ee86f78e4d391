"""JSON lines: one record per line, from the header to the summary, that together hold the JSON report."""

import json

from lmdiag.reports.json import document
from lmdiag.reports.jsonl import render


def test_the_records_come_in_order(report):
    records = [json.loads(line) for line in render(report).splitlines()]
    assert [record["type"] for record in records] == [
        *("report", "run", "run", "finding", "finding", "finding"),
        *("run", "unreadable", "summary"),
    ]
    assert records[-1] == {"type": "summary", "verdict": "unhealthy", "runs": 3, "findings": 3, "unreadable": 1}


def test_a_finding_says_whose_it_is_and_all_that_the_report_says(report):
    found = [json.loads(line) for line in render(report).splitlines() if '"finding"' in line]
    expected = document(report)["runs"][1]["findings"]
    assert found == [{"type": "finding", "run": "bad", "source": "runs/bad.jsonl"} | finding for finding in expected]
