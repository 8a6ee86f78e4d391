"""The report as one HTML file that needs nothing else: no script, no network; charts are drawings inside it.

Every word from a log goes through the escaping of the template.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import lmdiag
from lmdiag import charts
from lmdiag.charts import Drawing, View
from lmdiag.diagnose import Diagnosis
from lmdiag.errors import LmdiagError
from lmdiag.reports.report import Report, severity_of, summarize, worst_first
from lmdiag.reports.wording import WORDS, by_reason, number, source_of, steps, total, visible

CHART_WIDTH = 820  # pixels, for a page of A4
LARGEST = 900_000  # bytes of drawings; runs beyond that get their words only
SMOOTH_SHARE = 0.002
ICONS = {"healthy": "✓", "not-judged": "?", "suspect": "▲", "unhealthy": "✕", "info": "i", "warning": "▲", "error": "✕"}


@dataclass(frozen=True)
class Figure:
    """A drawing with the sentence that describes it and how much of the data it shows."""

    svg: str
    alt: str
    note: str


def render(report: Report) -> str:
    """Return the report as an HTML document."""
    try:
        import jinja2
    except ImportError as error:
        raise LmdiagError(
            "the HTML report needs jinja2 and vl-convert-python", "pip install jinja2 vl-convert-python"
        ) from error
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters |= {
        "number": number,
        "visible": visible,
        "severity": lambda finding: severity_of(finding).label,
    }
    template = environment.from_string(files("lmdiag.reports").joinpath("html_template.jinja").read_text("utf-8"))
    text: str = template.render(
        version=lmdiag.__version__,
        report=report,
        words=WORDS,
        icons=ICONS,
        steps=steps,
        total=total(report.verdicts, len(report.unreadable)),
        runs=list(_sections(report)),
    )
    return text


def _sections(report: Report) -> Iterator[dict[str, Any]]:
    """Yield what the template says about each run, worst first; once the drawings are large enough, words only."""
    drawn = 0
    for rank, diagnosis in enumerate(worst_first(report.diagnoses)):
        figures = list(_figures(rank, diagnosis)) if drawn < LARGEST else []
        size = sum(len(figure.svg) for figure in figures)
        if drawn + size > LARGEST and drawn:
            figures, size = [], 0
        drawn += size
        yield {
            "rank": rank,
            "diagnosis": diagnosis,
            "name": source_of(diagnosis.run),
            "summary": summarize(diagnosis.run),
            "alarms": [f for f in diagnosis.findings if f.alarms],
            "others": [f for f in diagnosis.findings if not f.alarms],
            "figures": figures,
            "reasons": by_reason(diagnosis.not_checked),
        }


def _figures(rank: int, diagnosis: Diagnosis) -> Iterator[Figure]:
    """Yield the charts of a run, as far as its log has what they show."""
    run, findings = diagnosis.run, diagnosis.findings
    view = View(half_life=SMOOTH_SHARE * (run.last_step - run.first_step))
    best = diagnosis.best and (diagnosis.best.metric, diagnosis.best.step, diagnosis.best.value)
    drawings = (
        charts.timeline_chart(run, findings, view),
        charts.loss_chart(run, findings, view, best or None),
        charts.gradient_chart(run, findings, view, foot=False),
        charts.lr_chart(run, findings, view),
        charts.layer_heatmap(run, "grad_norm", view),
        charts.series_chart(run, "tokens_per_sec", findings, view, title="tokens/s", height=90, y_format=".3~s"),
    )
    for n, drawing in enumerate(d for d in drawings if d is not None):
        yield Figure(svg(drawing, f"run{rank}-{n}-"), drawing.alt, drawing.note)


def svg(drawing: Drawing, prefix: str = "") -> str:
    """Return a chart as an SVG element, without what only a pointer can use; `prefix` keeps its ids apart on a page."""
    try:
        import vl_convert
    except ImportError as error:
        raise LmdiagError("the HTML report needs vl-convert-python", "pip install vl-convert-python") from error
    spec = {**_still(drawing.spec), "width": CHART_WIDTH, "config": {"font": "sans-serif", "view": {"stroke": None}}}
    text: str = vl_convert.vegalite_to_svg(spec, vl_version="6.1")
    text = re.sub(r"(-?\d+\.\d{2})\d+", r"\1", text)
    return re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{prefix}", text)


def _still(part: Any) -> Any:
    """Return a specification without the layers that only serve the pointer, and without tooltips."""
    if isinstance(part, list):
        return [_still(p) for p in part if not (isinstance(p, dict) and "params" in p)]
    if isinstance(part, dict):
        return {k: v if k in ("values", "datasets") else _still(v) for k, v in part.items() if k != "tooltip"}
    return part
