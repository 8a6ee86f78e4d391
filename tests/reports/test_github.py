"""GitHub annotations: ten of a kind and no more, escaped, at the line of the log; and a summary that is not refused."""

import re
from dataclasses import replace

import numpy as np

from lmdiag.reports.github import LARGEST_SUMMARY, render, summary
from lmdiag.reports.report import Report
from lmdiag.run import Series

COMMAND = re.compile(r"^::(error|warning|notice) ([a-zA-Z]+=[^:,]*(?:,[a-zA-Z]+=[^:,]*)*)::(.*)$")


def commands(report):
    found = [COMMAND.match(line) for line in render(report).splitlines()]
    assert all(found)
    return [(m[1], dict(pair.split("=", 1) for pair in m[2].split(",")), m[3]) for m in found]


def test_one_annotation_per_finding_and_unreadable_source(report):
    assert [(kind, properties.get("title")) for kind, properties, _ in commands(report)] == [
        ("error", "lmdiag"),
        ("error", "lmdiag (divergence)"),
        ("error", "lmdiag (non-finite-loss)"),
        ("warning", "lmdiag (gradient-spike)"),
    ]


def test_an_annotation_stands_at_its_lines(sick):
    loss = sick.run["loss"]
    numbered = Series(loss.steps, loss.values, loss.steps + 1)
    run = replace(sick.run, series={**sick.run.series, "loss": numbered})
    _, properties, text = commands(Report((replace(sick, run=run),)))[0]
    assert (properties["file"], properties["line"], properties["endLine"]) == ("runs/bad.jsonl", "1302", "2001")
    assert "%0A1. Resume from" in text


def test_at_most_ten_of_a_kind_and_the_last_counts_the_rest(sick):
    found = commands(Report((sick,) * 12))
    kinds = [kind for kind, _, _ in found]
    assert (kinds.count("error"), kinds.count("warning")) == (10, 10)
    assert found[9][2] == "15 more of this kind: see the summary of the job"


def test_what_a_log_says_cannot_be_a_command(sick):
    finding = replace(sick.findings[0], message="x\n::error::y%", rule="a:b,c")
    run = replace(sick.run, source="a,b:c.jsonl")
    [(_, properties, text)] = commands(Report((replace(sick, run=run, findings=(finding,)),)))
    assert properties["file"] == "a%2Cb%3Ac.jsonl"
    assert "x%0A::error::y%25" in text


def test_a_healthy_run_says_nothing(healthy):
    assert render(Report((healthy,))) == ""


def test_the_summary_stays_below_the_limit(sick, healthy):
    assert summary(Report((healthy,))).startswith("## ✓ healthy")
    names = [f"run-{number}" for number in np.arange(2000)]
    many = [replace(sick, run=replace(sick.run, source=f"{name}.jsonl")) for name in names]
    text = summary(Report(tuple(many)))
    assert LARGEST_SUMMARY - 2000 < len(text.encode()) < LARGEST_SUMMARY
    assert "… cut here" in text
