"""The loss of a run, with perplexity, evaluations, reference levels and the best checkpoint."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from lmdiag.charts.marks import flagged_steps, in_view, point_records, shaded, span_records
from lmdiag.charts.panel import Guide, Panel
from lmdiag.charts.panels import drawing, trace_of, x_domain
from lmdiag.charts.perplexity import perplexity_axis
from lmdiag.charts.traces import Records, Trace, rescaled, scale_domain
from lmdiag.charts.view import Drawing, View
from lmdiag.finding import Finding
from lmdiag.run import Run

LOSS_TITLES = {"loss": "loss (nats/token)", "perplexity": "perplexity", "bits_per_byte": "bits per byte"}
MOST_EVALUATIONS = 5
LOSS_METRICS = ("loss", "ppl", "bpb")
GUESSES = {"uniform": "uniform guess (ln V)", "unigram": "unigram", "bigram": "bigram"}
LATE = 0.85  # of the way along, from where words stand left of their mark


def loss_chart(
    run: Run, findings: Sequence[Finding], view: View, best: tuple[str, int, float] | None = None
) -> Drawing | None:
    """Draw the training loss and the evaluations, as loss, perplexity or bits per byte; None without any.

    `best` is metric, step and value of the best evaluation.
    """
    names = loss_names(run)
    own = [f for f in findings if f.metric in names or f.metric.rpartition("/")[2] in LOSS_METRICS]
    flagged = flagged_steps(own)
    traces = [trace_of(run, "training" if name == "loss" else name, name, view, flagged) for name in names]
    traces = [t for t in traces if t.logged or len(t.lost)]
    if not traces:
        return None
    log = view.log_y or view.loss_as == "perplexity"
    guides = _guides(run, view)
    points = point_records(in_view(own, view), traces)
    levels = [g.value for g in guides if g.words == GUESSES["uniform"]]
    panel = Panel(
        title=LOSS_TITLES[view.loss_as] if run.objective != "classification" else "loss",
        traces=traces,
        x_title="",
        x_domain=x_domain(run, view),
        y_domain=scale_domain(traces, log, view.full_range, levels, [p["y"] for p in points]),
        log=log,
        y_format=",.4~g",
        height=300,
        spans=span_records(run, shaded(run, own), view),
        points=points,
        guides=guides,
        best=_best_records(traces, best, x_domain(run, view)),
    )
    side = {}
    if view.loss_as == "loss" and run.objective in ("causal-lm", "masked-lm") and panel.y_domain:
        side = {"side": perplexity_axis(panel.y_domain), "scale": panel.y["scale"]}
    return drawing(panel, own, view, **side)


def loss_names(run: Run) -> list[str]:
    """Return the metrics of the loss chart: the training loss, then the evaluations, the longest of them first."""
    training = [name for name in ("loss",) if name in run]
    evaluations = sorted(run.evaluations.items(), key=lambda pair: (pair[0] != "val", -len(pair[1])))
    return training + [f"{split}/loss" for split, _ in evaluations[:MOST_EVALUATIONS]]


def _guides(run: Run, view: View) -> list[Guide]:
    """Levels that need no training: guessing uniformly, by word frequency, by the word before."""
    known = dict(run.config.get("reference_loss") or {})
    model = run.config.get("model")
    vocabulary = model.get("vocab_size") if isinstance(model, dict) else None
    if "uniform" not in known and isinstance(vocabulary, int | float) and vocabulary > 1:
        known["uniform"] = math.log(vocabulary)
    numbers = {name: float(value) for name, value in known.items() if isinstance(value, int | float)}
    return [
        Guide(float(rescaled(run, np.array([value]), view)[0]), GUESSES.get(name, name[:40]))
        for name, value in numbers.items()
    ]


def _best_records(traces: Sequence[Trace], best: tuple[str, int, float] | None, ends: tuple[float, float]) -> Records:
    for t in traces:
        if best is None or t.name != best[0]:
            continue
        i = t.index_of(best[1])
        if i is not None:
            along = (t.x[i] - ends[0]) / (ends[1] - ends[0])
            align = "right" if along > LATE else "left" if along < 1 - LATE else "center"
            return [{"x": float(t.x[i]), "y": float(t.values[i]), "words": f"best {t.values[i]:.4g}", "align": align}]
    return []
