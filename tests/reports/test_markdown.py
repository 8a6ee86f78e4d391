"""The Markdown report: a table of all runs, a section per sick one, and nothing from a log taken for markup."""

from dataclasses import replace

from lmdiag.reports.left_out import Unreadable
from lmdiag.reports.markdown import render
from lmdiag.reports.report import Report
from lmdiag.run import Run


def test_the_table_lists_every_run_worst_first(report):
    lines = render(report).splitlines()
    assert lines[:3] == [
        "## ✗ unhealthy",
        "",
        "3 runs: 1 unhealthy, 1 not judged, 1 healthy; 1 source could not be read.",
    ]
    rows = [line for line in lines if line.startswith("| runs/")]
    assert [row.split(" | ")[0] for row in rows] == ["| runs/bad.jsonl", "| runs/short.csv", "| runs/good.jsonl"]
    assert (
        rows[0]
        == "| runs/bad.jsonl | ✗ unhealthy | divergence, step 1,301 | 2 | 1 | 2,000 | NaN | step 1,300 (val/loss 3.05) |"
    )


def test_a_sick_run_has_a_section_with_evidence_and_numbered_advice(report):
    text = render(report)
    assert "### ✗ runs/bad.jsonl" in text
    assert "**✗ error: divergence** (steps 1,301–2,000)" in text
    assert "Evidence: rise 5.02; level before 3.02; z ∞" in text
    assert "\n4. Look at the batches" in text
    assert "Explained by it:\n\n- ✗ error: non-finite-loss (steps 1,901–2,000): 100 of 2,000 losses" in text
    assert "- Not checked: late-warmup, flat-schedule: the log has no lr." in text


def test_what_was_not_judged_or_read_says_why(report):
    text = render(report)
    assert "Not judged: only 2 values of the loss, 40 needed." in text
    assert "**Not read:** runs/broken.bin: this is not a text file; Give the log, not the checkpoint." in text


def test_a_consequence_whose_cause_is_not_there_is_told_in_full(sick):
    alone = replace(sick, findings=sick.findings[1:2])
    assert "(steps 1,901–2,000, a consequence of divergence)" in render(Report((alone,)))


def test_a_healthy_run_has_no_section(healthy):
    assert "###" not in render(Report((healthy,)))


def test_names_from_a_log_are_no_markup(healthy):
    odd = replace(healthy, run=Run("x", {}, source="a|b<script>`*.jsonl"))
    text = render(Report((odd,), (Unreadable("<img src=x>", "[a](b)"),)))
    assert "<script>" not in text
    assert "<img" not in text
    assert "| a\\|b&lt;script&gt;\\`\\*.jsonl (x) |" in text
    assert "\\[a\\](b)" in text
