"""The panels of a run: loss or perplexity, gradient norm, learning rate, and any other series."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from lmdiag.charts.marks import about, flagged_steps, in_view, point_records, span_records
from lmdiag.charts.panel import Guide, Panel, datasets, draw
from lmdiag.charts.perplexity import perplexity_axis
from lmdiag.charts.traces import Records, Trace, scale_domain, shown, trace
from lmdiag.charts.vega import Spec, chart
from lmdiag.charts.view import Drawing, View, axis_title, positions
from lmdiag.finding import Finding
from lmdiag.metrics import METRICS
from lmdiag.run import Run, Series

LOSS_TITLES = {"loss": "loss (nats/token)", "perplexity": "perplexity", "bits_per_byte": "bits per byte"}
MOST_EVALUATIONS = 5
LOSS_METRICS = ("loss", "ppl", "bpb")


def loss_chart(
    run: Run, findings: Sequence[Finding], view: View, best: tuple[str, int, float] | None = None
) -> Drawing | None:
    """Draw the training loss and the evaluations, as loss, perplexity or bits per byte; None without any.

    `best` is metric, step and value of the best evaluation.
    """
    names = loss_names(run)
    own = [f for f in findings if f.metric in names or f.metric.rpartition("/")[2] in LOSS_METRICS]
    flagged = flagged_steps(own)
    traces = [_trace(run, "training" if name == "loss" else name, name, view, flagged) for name in names]
    traces = [t for t in traces if len(t.series)]
    if not traces:
        return None
    log = view.log_y or view.loss_as == "perplexity"
    guides = _loss_guides(run, view)
    panel = Panel(
        title=LOSS_TITLES[view.loss_as] if run.objective != "classification" else "loss",
        traces=traces,
        x_title="",
        x_domain=x_domain(run, view),
        y_domain=scale_domain(traces, log, view.full_range, [g.value for g in guides if g.words.startswith("uniform")]),
        log=log,
        y_format=",.4~g",
        height=300,
        spans=span_records(run, own, view),
        points=point_records(in_view(own, view), traces),
        guides=guides,
        best=_best_record(traces, best),
    )
    perplexities = view.loss_as == "loss" and run.objective in ("causal-lm", "masked-lm") and panel.y_domain
    side = (
        {"side": perplexity_axis(panel.y_domain), "scale": panel.y["scale"]} if perplexities and panel.y_domain else {}
    )
    return _drawing(panel, own, view, side)


def _drawing(panel: Panel, findings: Sequence[Finding], view: View, side: Spec) -> Drawing:
    spec = chart(draw(panel, view), panel.height, **side, datasets=datasets(panel))
    return Drawing(spec, _describe(panel, findings, view), shown(panel.traces))


def loss_names(run: Run) -> list[str]:
    """Return the metrics of the loss chart: the training loss, then the evaluations, the longest of them first."""
    training = [name for name in ("loss",) if name in run]
    evaluations = sorted(run.evaluations.items(), key=lambda pair: (pair[0] != "val", -len(pair[1])))
    return training + [f"{split}/loss" for split, _ in evaluations[:MOST_EVALUATIONS]]


def gradient_chart(run: Run, findings: Sequence[Finding], view: View, foot: bool = True) -> Drawing | None:
    """Draw the global gradient norm on a log scale, with the norm at which it is clipped; None without it."""
    limit = run.config.get("grad_clip")
    guides = [Guide(float(limit), f"clipped at {limit:g}")] if isinstance(limit, int | float) and limit > 0 else []
    return series_chart(run, "grad_norm", findings, view, title="gradient norm", log=True, guides=guides, foot=foot)


def lr_chart(run: Run, findings: Sequence[Finding], view: View) -> Drawing | None:
    """Draw the learning rate; None without it."""
    return series_chart(
        run, "lr", findings, replace(view, half_life=0.0), title="learning rate", height=90, y_format=".1e"
    )


def series_chart(
    run: Run,
    metric: str,
    findings: Iterable[Finding],
    view: View,
    *,
    title: str = "",
    log: bool = False,
    guides: Sequence[Guide] = (),
    height: int = 150,
    foot: bool = True,
    y_format: str = ",.4~g",
) -> Drawing | None:
    """Draw one series by its metric name; None where the log does not have it. `foot` writes the words of the x axis."""
    if metric not in run or not len(run[metric]):
        return None
    view = replace(view, loss_as="loss")
    own = about(findings, (metric,))
    traces = [_trace(run, title or metric, metric, view, flagged_steps(own), log)]
    positive = bool((traces[0].finite > 0).any())
    panel = Panel(
        title=title or _titled(metric),
        traces=traces,
        x_title=axis_title(run, view.axis) if foot else "",
        x_domain=x_domain(run, view),
        y_domain=scale_domain(traces, log and positive, view.full_range, [g.value for g in guides]),
        log=log and positive,
        y_format=y_format,
        height=height,
        spans=span_records(run, own, view),
        points=point_records(in_view(own, view), traces),
        guides=guides,
    )
    return _drawing(panel, own, view, {})


def _titled(metric: str) -> str:
    unit = METRICS[metric].unit if metric in METRICS else ""
    return f"{metric} ({unit})" if unit else metric


def _trace(run: Run, name: str, metric: str, view: View, flagged: Sequence[int], geometric: bool = False) -> Trace:
    """Smooth the training stream only: evaluations are means already, and few."""
    chosen = view if "/" not in metric else replace(view, half_life=0.0)
    return trace(run, name, run[metric], chosen, flagged, geometric)


def x_domain(run: Run, view: View) -> tuple[float, float]:
    """Return the first and last position on the x axis."""
    first, last = view.steps or (run.first_step, run.last_step)
    low, high = positions(run, view.axis, np.array([first, last], float))
    return (float(low), float(high)) if high > low else (float(low) - 0.5, float(low) + 0.5)


def _loss_guides(run: Run, view: View) -> list[Guide]:
    """Levels that need no training: guessing uniformly, by word frequency, by the word before."""
    known = dict(run.config.get("reference_loss") or {})
    model = run.config.get("model")
    vocabulary = model.get("vocab_size") if isinstance(model, dict) else None
    if "uniform" not in known and isinstance(vocabulary, int | float) and vocabulary > 1:
        known["uniform"] = math.log(vocabulary)
    words = {"uniform": "uniform guess (ln V)", "unigram": "unigram", "bigram": "bigram"}
    flat = run.first_step
    return [
        Guide(
            float(trace(run, "", _flat(flat, float(value)), replace(view, half_life=0, steps=None)).values[0]),
            words.get(name, name[:40]),
        )
        for name, value in known.items()
        if isinstance(value, int | float)
    ]


def _flat(step: int, value: float) -> Series:
    return Series(np.array([step]), np.array([value]))


def _best_record(traces: Sequence[Trace], best: tuple[str, int, float] | None) -> Records:
    for t in traces:
        if best is not None and t.name == best[0]:
            where = np.flatnonzero(t.series.steps == best[1])
            if len(where) and np.isfinite(t.values[where[0]]):
                i = int(where[0])
                return [{"x": float(t.x[i]), "y": float(t.values[i]), "words": f"best {t.values[i]:.4g}"}]
    return []


def _describe(panel: Panel, findings: Sequence[Finding], view: View) -> str:
    """Say in words what the panel shows."""
    parts = []
    for t in panel.traces:
        finite = t.finite
        if len(finite):
            parts.append(
                f"{t.name} from {finite[0]:.4g} to {finite[-1]:.4g}, between {finite.min():.4g} and {finite.max():.4g}"
            )
        if len(finite) < len(t.values):
            parts.append(f"{len(t.values) - len(finite):,} values of {t.name} are not finite")
    marked = f" Marked: {', '.join(sorted({f.rule for f in findings}))}." if findings else ""
    return f"{panel.title} over {AXIS_WORDS.get(view.axis, view.axis)}: {'; '.join(parts)}.{marked}"


AXIS_WORDS = {"step": "steps", "elapsed": "hours", "relative": "the run"}
