"""Runs, diagnoses and reports show themselves in a notebook: small, escaped, without a script."""

import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pytest

import lmdiag
from lmdiag.finding import Finding, NotChecked, Severity
from lmdiag.reports.left_out import Unreadable
from lmdiag.reports.report import Report
from lmdiag.run import Run, Series

HOSTILE = '<script>alert(1)</script><img src=x onerror=alert(1)> & "quotes"\x1b[2J'
STEPS = np.arange(1, 401)


def healthy(name="good"):
    losses = 2 + 8 * (1 + STEPS / 20) ** -0.5 + np.random.default_rng(0).normal(0, 0.02, 400)
    return Run(name, {"loss": Series(STEPS, losses), name: Series(STEPS, losses)}, source=name, format=name)


def sick(name="bad"):
    finding = Finding(
        f"It rose: {name}", 200, 400, name, {name: 1.0}, (f"Try {name}.",), Severity.ERROR, rule="divergence"
    )
    effect = replace(finding, rule="oscillation", severity=Severity.WARNING, consequence_of="divergence")
    return replace(
        lmdiag.diagnose(healthy(name)), findings=(finding, effect), not_checked=(NotChecked(name, "plateau"),)
    )


def words(shown):
    return " ".join(" ".join(ElementTree.fromstring(shown).itertext()).split())


def test_a_run_shows_its_curve_and_its_metrics():
    text = words(healthy()._repr_html_())
    assert text.startswith("good good · steps 1–400 · 400 values of loss loss 9.8")
    assert "█" in text
    assert "loss 400 values" in text


def test_a_diagnosis_shows_verdict_findings_and_the_first_remedy():
    text = words(sick()._repr_html_())
    for told in (
        "✗ unhealthy bad",
        "1 ✗ error divergence, steps 200–400: It rose: bad",
        "→ Try bad.",
        "1 rule could not look plateau: bad",
    ):
        assert told in text
    assert "2 ! warning oscillation, steps 200–400: It rose: bad (a consequence of divergence)" in text


def test_a_report_shows_every_run_and_what_was_not_read():
    report = Report((lmdiag.diagnose(healthy()), sick()), (Unreadable("x.bin", "no log"),))
    text = words(report._repr_html_())
    assert text.startswith("2 runs: 1 unhealthy, 1 healthy; 1 source could not be read.")
    assert text.index("bad ✗ unhealthy") < text.index("good ✓ healthy")
    assert "not read: x.bin: no log" in text
    assert Report((sick(),))._repr_html_() == sick()._repr_html_()


@pytest.mark.parametrize(
    "shown", [healthy(HOSTILE), sick(HOSTILE), Report((sick(HOSTILE),) * 2, (Unreadable(HOSTILE, HOSTILE),))]
)
def test_every_word_from_a_log_is_escaped(shown):
    html = shown._repr_html_()
    assert not {element.tag for element in ElementTree.fromstring(html).iter()} & {"script", "img"}
    assert "&lt;script&gt;" in html
    assert "\x1b" not in html


def test_it_stays_small():
    many = replace(sick(), findings=sick().findings * 100)
    assert len(many._repr_html_()) < 20_000
    assert len(Report((many,) * 500)._repr_html_()) < 20_000


def test_an_empty_run_shows_itself():
    assert "not judged" in lmdiag.diagnose(Run("empty", {}))._repr_html_()
    assert "empty" in Run("empty", {})._repr_html_()
