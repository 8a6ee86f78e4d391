"""The HTML report: one file, no script, nothing from outside, and every name from a log escaped."""

import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import numpy as np
import pytest

from lmdiag.diagnose import Diagnosis, diagnose
from lmdiag.finding import Finding, Severity
from lmdiag.reports import html
from lmdiag.reports.report import Report, Unreadable
from lmdiag.run import Run, Series

pytest.importorskip("jinja2", reason="jinja2 is not installed")
pytest.importorskip("vl_convert", reason="vl-convert-python is not installed")

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)> & \"quotes\" 'and' {{ 7 * 7 }}"


def diverging(name: str = "a run", points: int = 400) -> Diagnosis:
    steps = np.arange(1, points + 1)
    loss = 3 + 4 * np.exp(-steps / 40)
    loss[points // 2 :] += np.linspace(0, 5, points - points // 2)
    loss[10] = np.nan
    run = Run(name, {"loss": Series(steps, loss), "grad_norm": Series(steps, np.ones(points))}, source=name)
    finding = Finding(
        f"The loss rose: {name}",
        points // 2,
        points,
        "loss",
        {name: 1.5},
        (f"Try {name}.",),
        Severity.ERROR,
        rule="divergence",
    )
    return Diagnosis(run, (finding,), (), True, None)


class Tags(HTMLParser):
    """Collects tags with their attributes."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(document)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def test_holds_verdict_finding_advice_and_charts():
    document = html.render(Report((diverging(),)))
    for words in ("unhealthy", "divergence, steps 200–400", "The loss rose: a run", "Try a run."):
        assert words in document
    tags = [tag for tag, _ in Tags(document).found]
    assert tags.count("figure") == tags.count("svg") == 3


def test_needs_no_script_and_nothing_from_outside():
    document = html.render(Report((diverging(),)))
    for tag, attributes in Tags(document).found:
        assert tag not in ("script", "link", "iframe", "object", "embed")
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith(("#", "data:"))
    assert not re.search(r"url\((?!#)", document)


def test_every_name_from_a_log_is_escaped():
    report = Report((diverging(HOSTILE),), (Unreadable(HOSTILE, HOSTILE, HOSTILE),))
    document = html.render(report)
    tags = Tags(document).found
    assert not [attributes for tag, attributes in tags if tag in ("script", "img")]
    assert "&lt;script&gt;" in document
    assert "{{ 7 * 7 }}" in document


def test_the_drawings_are_well_formed_and_their_ids_differ():
    document = html.render(Report((diverging("a"), diverging("b"))))
    drawings = re.findall(r"<svg.*?</svg>", document, re.DOTALL)
    assert len(drawings) == 6
    for drawing in drawings:
        ElementTree.fromstring(drawing)
    ids = re.findall(r'\bid="([^"]+)"', document)
    assert len(ids) == len(set(ids))


def test_stays_below_a_megabyte_for_many_and_long_runs():
    report = Report(tuple(diverging(f"run {i}", 20_000) for i in range(12)))
    document = html.render(report)
    assert len(document.encode()) < 1_000_000
    assert document.count("<section") == 12


def test_a_run_without_anything_to_draw_is_reported():
    document = html.render(Report((diagnose(Run("empty", {})),)))
    assert "not judged" in document
    assert "<svg" not in document
