"""The loss of a run, with perplexity, evaluations, reference levels and the best checkpoint."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lmdiag.charts.marks import flagged_steps, link_records, onsets
from lmdiag.charts.panel import Guide
from lmdiag.charts.panels import drawing, method_charts, panel_of, scores_chart, trace_of
from lmdiag.charts.part import Drawing
from lmdiag.charts.perplexity import perplexity_axis
from lmdiag.charts.traces import Trace, rescaled
from lmdiag.charts.vega import Records
from lmdiag.charts.view import View, positions
from lmdiag.finding import Finding
from lmdiag.forecast import Forecast
from lmdiag.run import Run
from lmdiag.stats.noise import scatter

LOSS_TITLES = {"loss": "loss (nats/token)", "perplexity": "perplexity", "bits_per_byte": "bits per byte"}
MOST_EVALUATIONS = 5
LOSS_METRICS = ("loss", "ppl", "bpb")
GUESSES = {"uniform": "uniform guess", "unigram": "unigram", "bigram": "bigram"}
ENOUGH_EVALUATIONS, MOST_BARS = 6, 80
SMALLEST_BAR = 5e-4  # of the level; a shorter bar is hidden by its point
HEIGHT = 190  # pixels, so that gradient norm and learning rate stand beside it on a small screen


def loss_chart(
    run: Run,
    findings: Sequence[Finding],
    view: View,
    best: tuple[str, int, float] | None = None,
    forecast: Forecast | None = None,
) -> Drawing | None:
    """Draw the training loss and the evaluations, as loss, perplexity or bits per byte; None without any.

    `best` is metric, step and value of the best evaluation; a `forecast` is drawn where the view leaves room for it.
    """
    names, view = loss_names(run), replace(view, onsets=onsets(findings))
    own = [f for f in findings if f.metric in names or f.metric.rpartition("/")[2] in LOSS_METRICS]
    flagged = flagged_steps(own)
    traces = [trace_of(run, "training" if name == "loss" else name, name, view, flagged) for name in names]
    traces = [t for t in traces if t.logged or len(t.lost)]
    if not traces:
        return None
    log = view.log_y or view.loss_as == "perplexity"
    guides = _guides(run, view) if run.kind in ("language-model", "classification") else []
    ahead = ahead_records(run, traces, view, forecast)
    bars = [record for t in traces for record in bar_records(run, t, view)]
    levels = [g.value for g in guides if g.words.startswith(GUESSES["uniform"])]
    levels += [r[end] for r in ahead for end in ("low", "high")] + [r[end] for r in bars for end in ("y", "y2")]
    panel = panel_of(
        run,
        LOSS_TITLES[view.loss_as] if run.kind == "language-model" else "loss",
        traces,
        own,
        view,
        log=log,
        levels=levels,
        height=HEIGHT,
        guides=guides,
        best=_best_records(run, traces, best),
        bars=bars,
        links=link_records(run, findings, view),
        ahead=ahead,
    )
    side = None
    if view.loss_as == "loss" and run.kind == "language-model" and panel.y_domain:
        side = perplexity_axis(panel.y_domain)
    return drawing(panel, own, view, side)


def main_charts(
    run: Run,
    findings: Sequence[Finding],
    view: View,
    best: tuple[str, int, float] | None = None,
    forecast: Forecast | None = None,
) -> dict[str, Drawing | None]:
    """Draw what shows how a run went, by name: the loss and what its method measures, the loss of a policy last, which shows nothing."""
    loss = {"loss": loss_chart(run, findings, view, best, forecast)}
    scores, of_method = {"scores": scores_chart(run, findings, view)}, method_charts(run, findings, view)
    return {**of_method, **scores, **loss} if run.kind == "reinforcement" else {**loss, **scores, **of_method}


def ahead_records(run: Run, traces: Sequence[Trace], view: View, forecast: Forecast | None) -> Records:
    """Return the band of a forecast: no width at the last point of the curve, the full interval at the end."""
    end = view.steps[1] if view.steps else view.until or 0
    t = next((t for t in traces if forecast and t.metric == forecast.metric), None)
    if forecast is None or t is None or not len(t.values) or not run.last_step < forecast.step <= end:
        return []
    smooth = [] if t.smooth is None else t.smooth.values[np.isfinite(t.smooth.values)]
    now = float(smooth[-1] if len(smooth) else t.values[-1])
    last = int(t.steps[-1])
    level, low, high = rescaled(run, np.array([forecast.loss, forecast.low, forecast.high]), view).tolist()
    words = f"forecast {level:.4g} ({low:.4g} to {high:.4g})"
    places = positions(run, view.axis, np.array([last, forecast.step], float)).tolist()
    shared = {"words": words, "step": forecast.step}
    return [
        {"x": places[0], "y": now, "low": now, "high": now, **shared},
        {"x": places[1], "y": level, "low": low, "high": high, **shared},
    ]


def bar_records(run: Run, t: Trace, view: View) -> Records:
    """Return a bar of one standard deviation to both sides of every evaluation, estimated from the scatter of all.

    There are none where evaluations are too few to estimate it, or too many to see the bars.
    """
    if t.metric == "loss" or not len(t.series.finite) >= ENOUGH_EVALUATIONS or len(t.rows) > MOST_BARS:
        return []
    sigma = scatter(t.series.finite.values)
    logged = t.series.values[t.rows]
    if sigma < SMALLEST_BAR * abs(float(np.median(logged)) if len(logged) else 0.0):
        return []
    low, high = rescaled(run, logged - sigma, view), rescaled(run, logged + sigma, view)
    return [
        {"x": x, "y": a, "y2": b, "step": step, "sigma": sigma}
        for x, a, b, step in zip(t.x.tolist(), low.tolist(), high.tolist(), t.steps.tolist())
    ]


def loss_names(run: Run) -> list[str]:
    """Return the metrics of the loss chart: the training loss, then the evaluations, the longest of them first."""
    training = [name for name in ("loss",) if name in run]
    evaluations = sorted(run.evaluations.items(), key=lambda pair: (pair[0] != "val", -len(pair[1])))
    return training + [f"{split}/loss" for split, _ in evaluations[:MOST_EVALUATIONS]]


def _guides(run: Run, view: View) -> list[Guide]:
    """Return the losses that need no training: guessing uniformly, by word frequency, by the word before."""
    known = dict(run.config.get("reference_loss") or {})
    model = run.config.get("model")
    vocabulary = model.get("vocab_size") if isinstance(model, dict) else None
    if "uniform" not in known and isinstance(vocabulary, int | float) and vocabulary > 1:
        known["uniform"] = math.log(vocabulary)
    numbers = {name: float(value) for name, value in known.items() if isinstance(value, int | float)}
    shown = {name: float(rescaled(run, np.array([value]), view)[0]) for name, value in numbers.items()}
    return [Guide(value, f"{GUESSES.get(name, name[:40])} {value:.4g}") for name, value in shown.items()]


def _best_records(run: Run, traces: Sequence[Trace], best: tuple[str, int, float] | None) -> Records:
    for t in traces:
        i = t.index_of(best[1]) if best is not None and t.name == best[0] else None
        if best is not None and i is not None:
            words = f"best {t.values[i]:.4g} at {run.place(best[1])}"
            return [{"x": float(t.x[i]), "y": float(t.values[i]), "words": words}]
    return []
