"""Any series of a run as a panel; gradient norm, learning rate and scores with what belongs to them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lmdiag.charts.marks import (
    about,
    flagged_steps,
    in_view,
    level_of,
    link_records,
    onsets,
    point_records,
    shaded,
    span_records,
)
from lmdiag.charts.palette import palette
from lmdiag.charts.panel import Guide, Panel, part_of
from lmdiag.charts.part import Drawing
from lmdiag.charts.stack import stacked
from lmdiag.charts.traces import Trace, rescaled, scale_domain, shown, trace
from lmdiag.charts.vega import Spec
from lmdiag.charts.view import View, axis_title, positions
from lmdiag.figures import figure, size
from lmdiag.finding import Finding
from lmdiag.metrics import METRICS
from lmdiag.naming import evaluation_set
from lmdiag.run import Run

OF_METHOD: dict[
    str, dict[str, tuple[str, ...]]
] = {  # what is drawn of a run beside its loss: {kind: {title: metrics of one panel, */ those of evaluation sets}}
    "reinforcement": {
        "reward": ("reward", "*/reward"),
        "reward spread": ("reward_std",),
        "KL (nats)": ("kl", "sequence_kl"),
        "entropy (nats)": ("entropy",),
        "length (tokens)": ("response_length",),
        "shares": ("truncated_share", "clip_ratio", "zero_std_share"),
        "value loss": ("value_loss",),
    },
    "preference": {
        "margin": ("reward_margin", "*/reward_margin"),
        "pair accuracy": ("reward_accuracy", "*/reward_accuracy"),
        "rewards": ("chosen_reward", "rejected_reward"),
        "log-prob. (nats)": ("chosen_logp", "rejected_logp"),
    },
}
SCORES, MOST_SCORES = ("accuracy", "f1", "recall", "precision", "auc"), 5
AXIS_WORDS = {"elapsed": "hours", "relative": "the run"}


def drawing(panel: Panel, findings: Sequence[Finding], view: View, side: Spec | None = None) -> Drawing:
    """Draw a panel, with a description and a note on how many points it shows."""
    part = part_of(panel, view, side)
    metrics = tuple(dict.fromkeys(t.metric for t in panel.traces))
    spec = stacked([part], palette(view.dark))
    return Drawing(spec, _describe(panel, findings, view), shown(panel.traces), metrics, part)


def gradient_chart(run: Run, findings: Sequence[Finding], view: View, foot: bool = True) -> Drawing | None:
    """Draw the global gradient norm on a log scale, with the norm at which it is clipped; None without it."""
    limit = run.config.get("grad_clip")
    guides = [Guide(float(limit), f"clipped at {limit:g}")] if isinstance(limit, int | float) and limit > 0 else []
    return series_chart(run, "grad_norm", findings, view, title="gradient norm", log=True, guides=guides, foot=foot)


def lr_chart(run: Run, findings: Sequence[Finding], view: View) -> Drawing | None:
    """Draw the learning rate; None without it."""
    view = replace(view, half_life=0.0)
    return series_chart(run, "lr", findings, view, title="learning rate", height=66)


def scores_chart(run: Run, findings: Sequence[Finding], view: View) -> Drawing | None:
    """Draw accuracy, F1, recall and the like of the evaluations, all shares between 0 and 1; None without any."""
    names = [name for name in run.series if "/" in name and name.rpartition("/")[2] in SCORES][:MOST_SCORES]
    view = replace(view, loss_as="loss")
    own = about(findings, names)
    traces = [trace_of(run, name, name, view, flagged_steps(own)) for name in names]
    traces = [t for t in traces if t.logged]
    return drawing(panel_of(run, "scores", traces, own, view), own, view) if traces else None


def method_charts(run: Run, findings: Sequence[Finding], view: View) -> dict[str, Drawing | None]:
    """Draw what a method measures beside its loss: rewards, divergence, entropy and lengths, or margins, accuracies and log-probabilities."""
    view = replace(view, loss_as="loss", onsets=onsets(findings))
    drawn: dict[str, Drawing | None] = {}
    for title, metrics in OF_METHOD.get(run.kind, {}).items():
        names = [name for metric in metrics for name in _named(run, metric)]
        own = about(findings, names)
        traces = [trace_of(run, name, name, view, flagged_steps(own)) for name in names[:MOST_SCORES]]
        traces = [t for t in traces if t.logged]
        if traces:
            drawn[title] = drawing(
                panel_of(run, title, traces, own, view, links=link_records(run, list(findings), view)), own, view
            )
    return drawn


def _named(run: Run, metric: str) -> list[str]:
    if not metric.startswith("*/"):
        return [metric] if metric in run else []
    return [name for name in run.series if name.endswith(metric[1:]) and evaluation_set(name)]


def series_chart(
    run: Run,
    metric: str,
    findings: Iterable[Finding],
    view: View,
    *,
    title: str = "",
    log: bool = False,
    guides: Sequence[Guide] = (),
    guides_always: bool = False,
    height: int = 92,
    foot: bool = True,
    y_format: str = "",
) -> Drawing | None:
    """Draw one series by its metric name; None where the log does not have it.

    `foot` writes the title of the x axis; `guides_always` extends the scale to the guides.
    """
    if metric not in run or not len(run[metric]):
        return None
    findings = list(findings)
    view = replace(view, loss_as="loss", onsets=onsets(findings))
    own = about(findings, (metric,))
    traces = [trace_of(run, title or metric, metric, view, flagged_steps(own), log)]
    levels = [g.value for g in guides]
    panel = panel_of(
        run,
        title or _titled(metric),
        traces,
        own,
        view,
        log=log and bool((traces[0].values > 0).any()),
        levels=levels,
        marked=levels if guides_always else (),
        foot=foot,
        y_format=y_format or ("bytes" if _in_bytes(metric) else ""),
        height=height,
        guides=guides,
        links=link_records(run, findings, view),
    )
    return drawing(panel, own, view)


def panel_of(
    run: Run,
    title: str,
    traces: Sequence[Trace],
    findings: Sequence[Finding],
    view: View,
    *,
    log: bool = False,
    levels: Sequence[float] = (),
    marked: Sequence[float] = (),
    foot: bool = True,
    **more: Any,
) -> Panel:
    """Return a panel with these curves and findings; the scale covers `levels` and `marked`, too.

    `foot` writes the title of the x axis.
    """
    compared = _compared_with(run, view, [t.metric for t in traces])
    guides, levels = [*more.pop("guides", ()), *compared], [*levels, *(guide.value for guide in compared)]
    points = [p for p in point_records(in_view(findings, view), traces) if p["y"] > 0 or not log]
    return Panel(
        title,
        traces,
        x_domain(run, view),
        scale_domain(traces, log, view.full_range, levels, [*(p["y"] for p in points), *marked]),
        log=log,
        unit=run.unit,
        x_title=axis_title(run, view.axis) if foot else "",
        spans=span_records(run, shaded(run, findings), view),
        points=points,
        guides=guides,
        **more,
    )


def _compared_with(run: Run, view: View, metrics: Sequence[str]) -> list[Guide]:
    """Return the level that the finding compares its metric with at which the reader looks, if it is one of these."""
    finding = view.marked
    level = level_of(finding) if finding and finding.metric in metrics else None
    if finding is None or level is None:
        return []
    value = float(rescaled(run, np.array([level[1]]), view)[0])
    return [Guide(value, f"{level[0]} {size(value) if _in_bytes(finding.metric) else figure(value)}")]


def _in_bytes(metric: str) -> bool:
    return metric in METRICS and METRICS[metric].unit == "bytes"


def _titled(metric: str) -> str:
    unit = METRICS[metric].unit if metric in METRICS else ""
    return f"{metric} ({unit})" if unit else metric


def trace_of(run: Run, name: str, metric: str, view: View, flagged: Sequence[int], geometric: bool = False) -> Trace:
    """Return a curve, smoothed for the training metrics only: evaluations are means already, and few."""
    chosen = view if "/" not in metric else replace(view, half_life=0.0)
    return trace(run, name, metric, run[metric], chosen, flagged, geometric)


def x_domain(run: Run, view: View) -> tuple[float, float]:
    """Return the first and last position on the x axis."""
    first, last = view.steps or (run.first_step, max(run.last_step, view.until or 0))
    low, high = positions(run, view.axis, np.array([first, last], float))
    return (float(low), float(high)) if high > low else (float(low) - 0.5, float(low) + 0.5)


def _describe(panel: Panel, findings: Sequence[Finding], view: View) -> str:
    """Say in words what the panel shows."""
    parts = []
    for t in panel.traces:
        values = t.values
        if len(values):
            range_ = f"between {values.min():.4g} and {values.max():.4g}"
            parts.append(f"{t.name} from {values[0]:.4g} to {values[-1]:.4g}, {range_}")
        lost = sum(mark["count"] for mark in t.lost_marks)
        if lost:
            parts.append(f"{lost:,} values of {t.name} are not finite")
    marked = f" Marked: {', '.join(sorted({f.rule for f in findings}))}." if findings else ""
    over = f"{panel.unit}s" if view.axis == "step" else AXIS_WORDS.get(view.axis, view.axis)
    return f"{panel.title} over {over}: {'; '.join(parts)}.{marked}"
