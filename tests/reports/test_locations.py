"""Places: paths as a repository knows them, lines where the log has them, fingerprints by order of step."""

import os
from dataclasses import replace

import numpy as np
import pytest

from lmdiag.finding import Finding
from lmdiag.reports.locations import fingerprints, lines_of, relative_path
from lmdiag.run import Run, Series


@pytest.mark.parametrize(
    ("source", "expected"),
    [("./a.csv", "a.csv"), ("runs//b/../a.csv", "runs/a.csv"), ("../a.csv", "../a.csv"), ("<stdin>", "stdin")],
)
def test_paths_are_normal(source, expected):
    assert relative_path(source) == expected


def test_an_absolute_path_below_here_is_relative():
    assert relative_path(os.path.join(os.getcwd(), "runs", "a.csv")) == "runs/a.csv"
    assert relative_path("/elsewhere/a.csv") == "/elsewhere/a.csv"


def test_lines_of_a_finding_outside_the_series_are_the_nearest():
    loss = Series(np.array([10, 20]), np.ones(2), np.array([4, 9]))
    run = Run("a", {"loss": loss, "lr": Series(loss.steps, loss.values)})
    assert lines_of(run, Finding("", 5, 99)) == (4, 9)
    assert lines_of(run, Finding("", 5, 99, metric="lr")) == (1, 1)
    assert lines_of(run, Finding("", 5, 99, metric="val/loss")) == (1, 1)


def test_fingerprints_belong_to_findings_in_whatever_order_they_come(sick):
    first, second = replace(sick.findings[0], first_step=10), replace(sick.findings[0], first_step=20)
    forward = fingerprints(replace(sick, findings=(first, second)))
    assert fingerprints(replace(sick, findings=(second, first))) == forward[::-1]


def test_fingerprints_differ_between_runs(sick):
    other = replace(sick, run=replace(sick.run, source="runs/other.jsonl"))
    assert not set(fingerprints(sick)) & set(fingerprints(other))
