"""Runs, diagnoses and reports as a notebook shows them: a few kilobytes of HTML, no script, no chart library.

All text from a log is escaped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from html import escape

from lmdiag.diagnose import Diagnosis
from lmdiag.finding import Finding, severity_of
from lmdiag.looks import LOOKS
from lmdiag.reports.curves import curve_rows, marks
from lmdiag.reports.entries import worst_first
from lmdiag.reports.left_out import Unreadable
from lmdiag.reports.phrases import by_reason, checkpoint, count, number, origin, source_of, total, visible
from lmdiag.reports.summary import last_header, last_value
from lmdiag.reports.terminal import aligned, verdict_look
from lmdiag.run import Run

BARS = 60
MOST_FINDINGS, MOST_METRICS, MOST_RUNS = 8, 12, 30
MUTED = "opacity:.7"


def run_html(run: Run) -> str:
    """Return where a run comes from, its curve, and the metrics it holds."""
    rows = [
        (name, count(len(series), "value"), number(float(series.values[0])), number(float(series.values[-1])))
        for name, series in list(run.series.items())[:MOST_METRICS]
    ]
    more = len(run.series) - len(rows)
    return _box(
        _line(_tag("b", source_of(run))),
        _line(_text(" · ".join(origin(run))), MUTED),
        _curves(Diagnosis(run, (), (), "", None)),
        _table(("metric", "values", "first", "last"), rows),
        _line(f"and {count(more, 'more metric')}", MUTED) if more > 0 else "",
    )


def diagnosis_html(diagnosis: Diagnosis) -> str:
    """Return the verdict on a run, its curve with the findings marked, and each finding with what to try first."""
    hidden = len(diagnosis.findings) - MOST_FINDINGS
    return _box(
        _line(f"{_look(diagnosis.shown)} {_tag('b', source_of(diagnosis.run))}"),
        _line(_text(" · ".join(origin(diagnosis.run))), MUTED),
        _curves(diagnosis),
        _line(_text(f"checkpoint to keep: {checkpoint(diagnosis)}")) if diagnosis.best else "",
        *(_finding(diagnosis.run, rank, finding) for rank, finding in enumerate(diagnosis.findings[:MOST_FINDINGS], 1)),
        _line(f"and {count(hidden, 'more finding')}: diagnosis.findings", MUTED) if hidden > 0 else "",
        _line(_not_checked(diagnosis), MUTED),
    )


def report_html(diagnoses: tuple[Diagnosis, ...], unreadable: tuple[Unreadable, ...]) -> str:
    """Return the verdict on each run, worst first; the diagnosis where there is one run only."""
    if len(diagnoses) == 1 and not unreadable:
        return diagnosis_html(diagnoses[0])
    rows = []
    for diagnosis in worst_first(diagnoses)[:MOST_RUNS]:
        words = verdict_look(diagnosis.shown)[0]
        causes = dict.fromkeys(f.rule for f in diagnosis.findings if f.alarms and not f.consequence_of)
        rows.append((source_of(diagnosis.run), words, last_value(diagnosis.run), ", ".join(causes) or "–"))
    return _box(
        _line(_tag("b", total(Counter(d.shown for d in diagnoses), len(unreadable)))),
        _table(("run", "verdict", last_header(d.run for d in diagnoses), "alarms"), rows),
        *(_line(_text(f"not read: {u.source}: {u.error}")) for u in unreadable),
    )


def _finding(run: Run, rank: int, finding: Finding) -> str:
    where = f"{finding.rule}, {run.place(finding.first_step, finding.last_step)}: {finding.message}"
    told = f"{_look(severity_of(finding).label, f'{rank} ')} {_text(where)}"
    if finding.consequence_of:
        return _line(f"{told} {_text(f'(a consequence of {finding.consequence_of})')}", "margin-left:1.5em")
    return _line(told) + "".join(_line(_text(f"→ {advice}"), "margin-left:1.5em") for advice in finding.advice[:1])


def _look(name: str, lead: str = "") -> str:
    """Return the words of a verdict or a severity in its colour."""
    look = LOOKS[name]
    return _tag("b", f"{lead}{look.icon} {look.word}", look.colour.light)


def _curves(diagnosis: Diagnosis) -> str:
    curves = curve_rows(diagnosis, BARS)
    if not curves:
        return ""
    run = diagnosis.run
    rows = [[c.metric, c.first, c.bars, c.last] for c in curves]
    where = marks(run, [f.first_step for f in diagnosis.findings], BARS)
    rows += [["finding", "", where, ""]] if where else []
    rows.append([run.step_kind, f"{run.first_step:,}", "", f"{run.last_step:,}"])
    lines = (" ".join(row).rstrip() for row in aligned(rows, "<><<"))
    return f'<pre style="margin:.4em 0;line-height:1.3">{escape(chr(10).join(lines))}</pre>'


def _not_checked(diagnosis: Diagnosis) -> str:
    if not diagnosis.not_checked:
        return ""
    lines = (f"{', '.join(rules)}: {why}" for why, rules in by_reason(diagnosis.not_checked).items())
    told = count(len(diagnosis.not_checked), "rule could not look", "rules could not look")
    return f"<details><summary>{told}</summary>{''.join(_line(_text(line)) for line in lines)}</details>"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    cells = ("".join(f'<td style="text-align:left">{_text(cell)}</td>' for cell in row) for row in rows)
    names = "".join(f'<th style="text-align:left">{name}</th>' for name in head)
    return f"<table><tr>{names}</tr>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>"


def _box(*parts: str) -> str:
    return f'<div style="font-family:sans-serif">{"".join(parts)}</div>'


def _line(html: str, style: str = "") -> str:
    return f'<div style="{style}">{html}</div>' if html else ""


def _tag(name: str, text: str, colour: str = "") -> str:
    style = f' style="color:{colour}"' if colour else ""
    return f"<{name}{style}>{_text(text)}</{name}>"


def _text(text: str) -> str:
    return escape(visible(text))
