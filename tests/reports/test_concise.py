"""The concise report: one line per finding, nothing about healthy runs."""

from dataclasses import replace

from lmdiag.reports.concise import render
from lmdiag.reports.report import Report


def test_one_line_per_finding(report):
    assert render(report).splitlines() == [
        "runs/bad.jsonl: divergence error steps 1301-2000 "
        "Loss rose from 3.02 at step 1,300 to 8.04 and stayed there until the end.",
        "runs/bad.jsonl: non-finite-loss error steps 1901-2000 "
        "100 of 2,000 losses are not finite. (consequence of divergence)",
        "runs/bad.jsonl: gradient-spike warning steps 1291-1320 "
        "The gradient norm reached 40, 50 times its usual level.",
        "runs/short.csv: not-judged only 2 values of the loss, 40 needed",
        "runs/broken.bin: unreadable this is not a text file",
    ]


def test_a_healthy_run_is_not_mentioned(healthy):
    assert render(Report((healthy,))) == ""


def test_a_message_cannot_break_the_line(sick):
    finding = replace(sick.findings[0], message="two\nlines \x1b[31mred")
    line = render(Report((replace(sick, findings=(finding,)),)))
    assert line == "runs/bad.jsonl: divergence error steps 1301-2000 two lines ?[31mred"
