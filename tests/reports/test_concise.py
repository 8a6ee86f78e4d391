"""The concise report: one line per finding, nothing about healthy runs."""

from dataclasses import replace

import numpy as np

from lmdiag.reports.concise import render
from lmdiag.reports.report import Report


def test_one_line_per_finding(report):
    assert render(report).splitlines() == [
        "runs/bad.jsonl:1: error: Loss rose from 3.02 at step 1,300 to 8.04 and stayed there until the end. "
        "(steps 1,301–2,000) [divergence]",
        "runs/bad.jsonl:1: error: 100 of 2,000 losses are not finite. "
        "(steps 1,901–2,000, a consequence of divergence) [non-finite-loss]",
        "runs/bad.jsonl:1: warning: The gradient norm reached 40, 50 times its usual level. "
        "(steps 1,291–1,320) [gradient-spike]",
        "runs/short.csv:1: info: not judged: only 2 values of the loss, 40 needed",
        "runs/broken.bin:1: error: not read: this is not a text file",
    ]


def test_a_healthy_run_is_not_mentioned(healthy):
    assert render(Report((healthy,))) == ""


def test_a_message_cannot_break_the_line(sick):
    finding = replace(sick.findings[0], message="two\nlines \x1b[31mred")
    line = render(Report((replace(sick, findings=(finding,)),)))
    assert line == "runs/bad.jsonl:1: error: two lines ?[31mred (steps 1,301–2,000) [divergence]"


def test_the_line_is_that_of_the_finding_and_one_of_several_runs_is_named(sick):
    lines = np.arange(2, 2002)
    run = replace(sick.run, name="bad.jsonl#seed 2", series={"loss": replace(sick.run["loss"], lines=lines)})
    first, *_ = render(Report((replace(sick, run=run),))).splitlines()
    assert first.startswith("runs/bad.jsonl:1302: error: seed 2: Loss rose from")
