"""Findings as records of a chart: where they begin and end, how severe they are, and what they say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from lmdiag.charts.traces import Trace
from lmdiag.charts.vega import Records
from lmdiag.charts.view import View, positions
from lmdiag.finding import Finding, severity_of
from lmdiag.run import Run

MESSAGE_LENGTH = 300
MOST_STEPS = 200
MOST_BANDS = 2
TOGETHER = 5  # steps at most between a gradient spike and the loss spike that it causes
LEVELS = {  # names of evidence that is in the unit of the metric: what it is called on a chart
    "level_before": "level before",
    "before": "before",
    "usual": "usual",
    "minimum": "lowest",
    "best": "best",
    "reference": "reference",
    "guess": "guess",
    "first_bytes": "at first",
    "median_norm": "median",
    "level": "level",
    "start": "at the start",
}
WHOLE = 0.95  # a finding about this share of the run is about all of it


def flagged_steps(findings: Iterable[Finding]) -> list[int]:
    """Return every step that a finding names, ascending, without repeats.

    >>> flagged_steps([Finding("…", 3, 9), Finding("…", 9, 9)])
    [3, 9]
    """
    return sorted({step for f in findings for step in (f.first_step, f.last_step, *f.steps)})


def onsets(findings: Iterable[Finding]) -> tuple[int, ...]:
    """Return the steps at which alarms begin, across which no mean may be taken.

    >>> from lmdiag.finding import Severity
    >>> onsets([Finding("…", 3, 9, severity=Severity.ERROR), Finding("…", 5, 9, severity=Severity.INFO)])
    (3,)
    """
    return tuple(sorted({f.first_step for f in findings if f.alarms}))


def level_of(finding: Finding) -> tuple[str, float] | None:
    """Return the level that a finding compares its metric with, with its name, None where its evidence has none.

    >>> level_of(Finding("…", 3, 9, "lr", {"jumps": 1, "before": 0.001}))
    ('before', 0.001)
    """
    found = next((name for name in LEVELS if name in finding.evidence), None)
    return (LEVELS[found], float(finding.evidence[found])) if found else None


def about(findings: Iterable[Finding], metrics: Sequence[str]) -> list[Finding]:
    """Return the findings about one of these metrics."""
    return [f for f in findings if f.metric in metrics]


def in_view(findings: Iterable[Finding], view: View) -> list[Finding]:
    """Return the findings that are at least partly in view."""
    if view.steps is None:
        return list(findings)
    first, last = view.steps
    return [f for f in findings if f.last_step >= first and f.first_step <= last]


def shaded(run: Run, findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings worth a band behind the curve: at most two causes that name a part of the run, not all of it.

    The others are in the timeline; more bands would hide the curve.
    """
    length = max(run.last_step - run.first_step, 1)
    part = [f for f in findings if f.alarms and not f.consequence_of and f.last_step - f.first_step < WHOLE * length]
    return part[:MOST_BANDS]


def span_records(run: Run, findings: Iterable[Finding], view: View) -> Records:
    """Return one record per finding: where it begins and ends on the x axis, its rule, severity and message."""
    records: Records = []
    for f in in_view(findings, view):
        ends = np.array([f.first_step, f.last_step], float)
        if view.steps is not None:
            ends = ends.clip(*view.steps)
        x, x2 = positions(run, view.axis, ends)
        steps = f"{f.first_step:,} to {f.last_step:,}" if f.last_step > f.first_step else f"{f.first_step:,}"
        records.append(
            {"x": float(x), "x2": float(x2), "steps": steps, "consequence": f.consequence_of is not None, **_told(f)}
        )
    return records


def point_records(findings: Iterable[Finding], traces: Sequence[Trace]) -> Records:
    """Return a mark on the curve for every step that a finding lists, or at which an alarm begins."""
    records: Records = []
    for f in findings:
        own = sorted(traces, key=lambda t: t.metric != f.metric)
        for step in (f.steps or ((f.first_step,) if f.alarms else ()))[:MOST_STEPS]:
            found = next(((t, i) for t in own if (i := t.index_of(step)) is not None), None)
            if found is not None:
                t, i = found
                records.append({"x": float(t.x[i]), "y": float(t.values[i]), "step": int(step), **_told(f)})
    return records


def spikes_together(findings: Iterable[Finding]) -> list[tuple[int, int]]:
    """Return pairs of steps: a gradient spike, and the nearest loss spike within `TOGETHER` steps.

    >>> spikes_together([Finding("…", 7, 7, rule="gradient-spike"), Finding("…", 8, 8, rule="loss-spike")])
    [(7, 8)]
    """
    steps = {rule: flagged_steps(f for f in findings if f.rule == rule) for rule in ("gradient-spike", "loss-spike")}
    near = (
        (step, min(steps["loss-spike"], key=lambda s: abs(s - step), default=None)) for step in steps["gradient-spike"]
    )
    return [(step, other) for step, other in near if other is not None and abs(other - step) <= TOGETHER]


def link_records(run: Run, findings: Iterable[Finding], view: View) -> Records:
    """Return a line for every gradient spike that goes with a loss spike, the same on every chart of a run."""
    first, last = view.steps or (run.first_step, run.last_step)
    pairs = [pair for pair in spikes_together(findings) if first <= pair[0] <= last][:MOST_STEPS]
    places = positions(run, view.axis, np.array([step for step, _ in pairs], float))
    return [
        {"x": float(x), "gradient": step, "loss": other, "what": "gradient norm and loss jump together"}
        for x, (step, other) in zip(places, pairs)
    ]


def _told(f: Finding) -> dict[str, Any]:
    return {"rule": f.rule, "severity": severity_of(f).label, "message": f.message[:MESSAGE_LENGTH]}
