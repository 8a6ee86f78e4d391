"""The report as one self-contained HTML file: charts as SVG, no network, one script that tells the values under the pointer.

The template escapes all text that comes from a log; the page allows no script but this one, and reads without it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from importlib.resources import files
from typing import Any

from lmdiag import charts
from lmdiag.charts import Drawing, View
from lmdiag.charts.palette import DARK, LIGHT
from lmdiag.diagnose import Diagnosis
from lmdiag.errors import LmdiagError
from lmdiag.finding import severity_of
from lmdiag.forecast import Forecast
from lmdiag.looks import LOOKS
from lmdiag.reports.account import account_line, left_out
from lmdiag.reports.entries import entries, main_finding, worst_first
from lmdiag.reports.evidence import evidence
from lmdiag.reports.phrases import (
    by_reason,
    checkpoint,
    looked,
    not_read,
    number,
    origin,
    perplexity,
    source_of,
    suppressions,
    total,
    visible,
)
from lmdiag.reports.readout import SCRIPT, SCRIPT_HASH, ends, readout
from lmdiag.reports.report import Report
from lmdiag.reports.summary import Summary, key_numbers, last_header, last_value, summarize
from lmdiag.version import __version__

LEFT_ROOM, RIGHT_ROOM = 56, 64  # pixels for labels and title
CHART_WIDTH = 820  # pixels, for a page of A4
LARGEST = 800_000  # bytes of drawings; runs beyond that are described in words only
MOST_TOLD = 60  # runs; the others are in the table only
SMOOTH_SHARE = 0.002
CONFIG = {  # aligns the plots of all charts, left and right
    "font": "sans-serif",
    "view": {"stroke": None},
    "legend": {"orient": "top", "direction": "horizontal", "gradientLength": 160, "gradientThickness": 8},
    "axisLeft": {"minExtent": LEFT_ROOM},
}
GEOMETRY = re.compile(r'\b(?:d|transform|[xy][12]?|width|height)="[^"]*"')  # written with fewer digits
HEAT = "gradient norm by layer"
DARK_PANEL = "#161b22"
OF_VEGA = {
    "#000": "#c9d1d9",
    "#888": "#6e7681",
    "#ddd": "#30363d",
    "white": "none",
}  # text, axes, grid and page on a dark page
NOTHING_TO_DO = "Nothing was found that needs action."


@dataclass(frozen=True)
class Figure:
    """A drawing with its name, the sentence that describes it, how much of the data it shows, and the ends of its x axis."""

    name: str
    svg: str
    alt: str
    note: str
    ends: str
    metrics: tuple[str, ...]
    overview: bool = False
    heat: bool = False


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
    template = environment.from_string(files(__package__).joinpath("html_template.jinja").read_text("utf-8"))
    text: str = template.render(
        version=__version__,
        report=report,
        looks=LOOKS,
        dark=_dark(),
        script=SCRIPT,
        script_hash=SCRIPT_HASH,
        evidence=evidence,
        total=total(report.verdicts, len(report.unreadable)),
        suppressed=suppressions(report.suppressed),
        runs=list(_sections(report)),
        last_header=last_header(d.run for d in report.diagnoses),
    )
    return text


def _sections(report: Report) -> Iterator[dict[str, Any]]:
    """Yield what the template shows of each run, worst first; beyond `LARGEST` bytes of drawings, words only."""
    drawn = 0
    for rank, diagnosis in enumerate(worst_first(report.diagnoses)):
        figures = list(_figures(rank, diagnosis)) if drawn < LARGEST and rank < MOST_TOLD else []
        values = readout(diagnosis.run, (metric for figure in figures for metric in figure.metrics)) if figures else ""
        size = sum(len(figure.svg) for figure in figures) + len(values)
        if drawn + size > LARGEST and drawn:
            figures, size, values = [], 0, ""
        drawn += size
        run, summary, cards = diagnosis.run, summarize(diagnosis.run), list(entries(diagnosis))
        yield {
            "rank": rank,
            "told": rank < MOST_TOLD,
            "diagnosis": diagnosis,
            "name": source_of(run),
            "origin": " · ".join(origin(run)),
            "last_value": last_value(run),
            "main_finding": main_finding(diagnosis),
            "facts": list(_facts(diagnosis, summary)),
            "alarms": [entry for entry in cards if entry.finding.alarms],
            "others": [entry for entry in cards if not entry.finding.alarms],
            "readout": values,
            "overview": [figure for figure in figures if figure.overview],
            "figures": [figure for figure in figures if not figure.overview],
            "nothing": looked(diagnosis)
            if not diagnosis.findings or diagnosis.verdict == "not-judged"
            else NOTHING_TO_DO,
            "reasons": by_reason(diagnosis.not_checked),
            "coverage": [
                line for line in (account_line(run.account), *map(not_read, left_out(run)), *run.notes) if line
            ],
        }


def _facts(diagnosis: Diagnosis, summary: Summary) -> Iterator[tuple[str, str]]:
    """Yield the numbers of the headline, each with its name."""
    for name, place, value in key_numbers(diagnosis.run, summary):
        yield name, f"{number(value)} ({place})" if place else number(value)
    told = perplexity(diagnosis)
    if told is not None:
        name, last, best = told
        yield name, last
        if best:
            yield f"best {name}", best
    ahead = _forecast(diagnosis)
    if ahead is not None:
        yield (
            f"forecast for {diagnosis.run.place(ahead.step)}",
            f"{number(ahead.loss)} ({number(ahead.low)} to {number(ahead.high)})",
        )
    if diagnosis.best:
        yield "checkpoint to keep", checkpoint(diagnosis)


def _forecast(diagnosis: Diagnosis) -> Forecast | None:
    """Return where the loss will end, None for a run that is over."""
    planned = diagnosis.run.config.get("max_steps")
    goes_on = isinstance(planned, int | float) and planned > diagnosis.run.last_step
    return diagnosis.forecast if goes_on else None


def _figures(rank: int, diagnosis: Diagnosis) -> Iterator[Figure]:
    """Yield the charts of a run, as far as its log has what they show; the first two are its overview."""
    run, findings = diagnosis.run, diagnosis.findings
    ahead = _forecast(diagnosis)
    view = View(half_life=SMOOTH_SHARE * (run.last_step - run.first_step), until=ahead.step if ahead else None)
    best = diagnosis.best and (diagnosis.best.metric, diagnosis.best.step, diagnosis.best.value)
    drawings = {
        "findings": charts.timeline_chart(run, findings, view),
        **charts.main_charts(run, findings, view, best or None, ahead),
        "gradient norm": charts.gradient_chart(run, findings, view, foot=False),
        "learning rate": charts.lr_chart(run, findings, view),
        HEAT: charts.layer_heatmap(run, "grad_norm", view),
        "speed": charts.series_chart(
            run, "tokens_per_sec", findings, view, title="tokens/s", height=90, y_format=".3~s"
        ),
    }
    for n, (name, drawing) in enumerate(drawings.items()):
        if drawing is not None:
            picture = svg(drawing, f"run{rank}-{n}-")
            title = name[:1].upper() + name[1:]
            yield Figure(
                title, picture, drawing.alt, drawing.note, ends(drawing), drawing.metrics, n < 2, heat=name == HEAT
            )


def _dark() -> dict[str, str]:
    """Return the colours of a drawing on a dark page, {colour on a light one: colour}."""
    ours = {getattr(LIGHT, part.name): getattr(DARK, part.name) for part in fields(LIGHT)}
    severities = {look.colour.light: look.colour.dark for look in LOOKS.values()}
    return {**OF_VEGA, **severities, **ours, LIGHT.background: DARK_PANEL}


def svg(drawing: Drawing, prefix: str = "") -> str:
    """Return a chart as an SVG element, without what only a pointer can use; `prefix` keeps its ids apart on a page."""
    try:
        import vl_convert
    except ImportError as error:
        raise LmdiagError("the HTML report needs vl-convert-python", "pip install vl-convert-python") from error
    spec = {**_still(drawing.spec), "width": CHART_WIDTH, "config": CONFIG}
    if "resolve" not in spec:  # it has no axis on the right
        spec["padding"] = {**spec["padding"], "right": RIGHT_ROOM}
    text: str = vl_convert.vegalite_to_svg(spec, vl_version="6.1")
    text = GEOMETRY.sub(lambda attribute: re.sub(r"(\.\d{2})\d+", r"\1", attribute[0]), text)
    return re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{prefix}", text)


def _at_pointer(layer: dict[str, Any]) -> bool:
    """Tell whether a layer shows only what the pointer is near to."""
    return any(
        isinstance(step.get("filter"), dict) and "param" in step["filter"] for step in layer.get("transform", ())
    )


def _still(part: Any) -> Any:
    """Return a specification without tooltips and without the layers that only react to the pointer."""
    if isinstance(part, list):
        return [_still(p) for p in part if not (isinstance(p, dict) and ("params" in p or _at_pointer(p)))]
    if isinstance(part, dict):
        return {k: v if k in ("values", "datasets") else _still(v) for k, v in part.items() if k != "tooltip"}
    return part
