"""Findings as bars along the run, one row each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lmdiag.charts.marks import in_view, span_records
from lmdiag.charts.palette import SHAPES, Palette, palette
from lmdiag.charts.panel import LABEL_ROOM, SEVERITIES
from lmdiag.charts.panels import x_domain
from lmdiag.charts.part import Drawing, Part
from lmdiag.charts.stack import stacked
from lmdiag.charts.vega import Place, Records, Spec, channel, layer, mark, room, tip
from lmdiag.charts.view import View
from lmdiag.finding import Finding
from lmdiag.run import Run

MOST_ROWS = 8
ROW_HEIGHT = 20
LATE = 0.72  # of the way along, from where the name stands left of the mark


def timeline_chart(run: Run, findings: Sequence[Finding], view: View, most: int = MOST_ROWS) -> Drawing | None:
    """Draw findings as bars from their first to their last step, causes first and at most so many; None when there is none in view."""
    visible = sorted(in_view(findings, view), key=lambda f: (not f.alarms, f.consequence_of is not None))
    if not visible:
        return None
    low, high = ends = x_domain(run, view)
    records = span_records(run, visible[:most], view)
    for row, record in enumerate(records):
        record |= {"row": row, "late": record["x"] > low + LATE * (high - low), "first": low, "last": high}
        record["rank"] = findings.index(visible[row])
    words = [tip("rule"), tip("steps", title=f"{run.unit}s"), tip("severity"), tip("message", title="what")]

    def y(place: Place) -> Spec:
        axis = {
            **room(LABEL_ROOM),
            "orient": "left",
            "labels": False,
            "ticks": False,
            "domain": False,
            "titlePadding": 6,
        }
        rows = {"domain": list(range(len(records))), "paddingOuter": 0.1, "range": [place.top, place.bottom]}
        return channel("row", "ordinal", title=" ", scale=rows, axis={**axis, "grid": False})

    def draw(place: Place) -> list[Spec]:
        return [*_bars(records, palette(view.dark), words), _buttons(records, words)]

    part = Part(draw, y, ROW_HEIGHT * len(records), ends, ruled=False)
    hidden = len(visible) - len(records)
    note = f"{hidden} more {'finding is' if hidden == 1 else 'findings are'} in the list" if hidden else ""
    return Drawing(stacked([part], palette(view.dark)), _describe(run, visible), note, part=part)


def _bars(records: Records, colours: Palette, words: list[Spec]) -> Iterator[Spec]:
    for severity in SEVERITIES:
        chosen = [r for r in records if r["severity"] == severity.label]
        if chosen:
            colour = colours.severity(severity)
            bar = mark("bar", height=15, cornerRadius=3, color=colour, opacity=0.28)
            yield layer(chosen, bar, x="x", x2="x2", y="row", tooltip=words)
            point = mark("point", shape=SHAPES[severity], size=90, color=colour, opacity=1)
            yield layer(chosen, point, x="x", y="row", tooltip=words)
    for late, align, offset in ((False, "left", 10), (True, "right", -10)):
        chosen = [r for r in records if r["late"] == late]
        if chosen:
            yield layer(
                chosen,
                mark("text", align=align, dx=offset, color=colours.text, fontSize=12),
                x="x",
                y="row",
                text="rule",
            )


def _buttons(records: Records, words: list[Spec]) -> Spec:
    """Make each row clickable: a click selects the rank of its finding under the name `finding`."""
    button = mark("bar", height=ROW_HEIGHT, opacity=0, cursor="pointer")
    row = layer(records, button, x="first", x2="last", y="row", tooltip=words)
    click = {"type": "point", "fields": ["rank"], "on": "@findings_marks:click"}
    return {"name": "findings", **row, "params": [{"name": "finding", "select": click}]}


def _describe(run: Run, findings: Sequence[Finding]) -> str:
    spans = (f"{f.rule} at {run.place(f.first_step, f.last_step)}" for f in findings[:MOST_ROWS])
    return f"Findings along the run: {'; '.join(spans)}."
