"""A report sums up: the worst verdict, the counts, and the numbers of one run."""

import numpy as np
import pytest

from lmdiag.finding import Severity
from lmdiag.reports import FORMATS, render
from lmdiag.reports.entries import count_alarms, worst_first
from lmdiag.reports.report import Report
from lmdiag.reports.summary import summarize
from lmdiag.run import Run, Series


def test_the_worst_verdict_is_the_verdict(healthy, sick, too_short):
    assert Report((healthy,)).verdict == "healthy"
    assert Report((healthy, too_short)).verdict == "not-judged"
    assert Report((healthy, sick, too_short)).verdict == "unhealthy"
    assert worst_first((healthy, sick, too_short)) == [sick, too_short, healthy]


def test_findings_are_counted_by_severity(report, sick):
    assert [report.count(s) for s in Severity] == [0, 1, 2]
    assert count_alarms(sick) == (2, 1)
    assert [f.rule for _, f in report.findings] == ["divergence", "non-finite-loss", "gradient-spike"]


def test_a_summary_of_nothing_is_empty():
    assert summarize(Run("a", {})).loss_last is None
    only_nan = summarize(Run("a", {"loss": Series(np.array([1]), np.array([np.nan]))}))
    assert only_nan.loss_min is None
    assert np.isnan(only_nan.loss_last)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_renders_every_report(report, name):
    assert "runs/bad.jsonl" in render(report, name)
    render(Report(), name)
