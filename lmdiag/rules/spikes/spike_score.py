import numpy as np

from lmdiag import advice
from lmdiag.finding import Curve, Finding, Findings, Severity, rule, too_few
from lmdiag.run import Run, Series
from lmdiag.stats.windows import median

PAST = 1000  # records the score looks back
POINTS = 1500
LEAST_HITS = 10  # heavy-tailed noise of single batches reaches seven in ten thousand
ALARM_POINTS, ALARM_EXCESS = 5000, 0.10


@rule(family="spikes", needs=("curve",), severity=Severity.INFO, min_points=POINTS)
def check(
    run: Run, curve: Curve, *, loss_score: float = 0.001, gradient_score: float = 0.003, alarm: float = 0.005
) -> Findings:
    """Spikes are more frequent than in published stable runs.

    ## What it looks for
    The spike score: the share of records that stand at least seven standard deviations above the mean of the thousand records before.

    ## How it decides
    A score above `loss_score` (0.1%) for the loss or `gradient_score` (0.3%) for the gradient norm is reported, from ten of them on; the stable OLMo 2 7B has 0.00% and
    0.09%, its less stable predecessor OLMo 1 7B 0.06% and 0.32%. A warning only from `alarm` (0.5%) of at least 5,000 losses on, when the typical spike is 10% high:
    sampled and single-batch logs have heavy tails without any harm.

    ## Why it matters
    The score compares the stability of runs of different length with one number, and it rises before a run diverges.

    ## False alarms it avoids
    The steep start (its own standard deviation is large), short logs, constant stretches, small jumps.

    ## What to try
    Look for repeated token sequences in the batches of the spikes; then initialisation, weight decay of embeddings, normalised queries and keys.

    ## References
    - Groeneveld et al. 2025, OLMo 2, arXiv:2501.00656, section 3.2.
    """
    found = {curve.metric: (curve.series, loss_score)}
    if "grad_norm" in run:
        found["grad_norm"] = (run["grad_norm"].finite, gradient_score)
    longest = max(len(series) for series, _ in found.values())
    if longest < POINTS:
        yield too_few(longest, "finite values of the loss", POINTS)
        return
    for name, (series, limit) in found.items():
        hits, excess = _hits(series.values)
        score = len(hits) / max(len(series), 1)
        if len(hits) < LEAST_HITS or score <= limit:
            continue
        strong = name == curve.metric and score >= alarm and len(series) >= ALARM_POINTS and excess >= ALARM_EXCESS
        yield _finding(run, name, series, hits, score, excess, strong)


def _hits(values: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the indices of the spikes, and the median of their height over the mean before them."""
    n = len(values)
    if n < POINTS:
        return np.empty(0, int), 0.0
    middle = float(values.mean())
    centred = values - middle
    mean, deviation = _mean_before(centred), _mean_before(centred**2)
    deviation -= mean**2  # in place: a long log fills the memory with such arrays
    np.sqrt(np.maximum(deviation, 0.0, out=deviation), out=deviation)
    np.maximum(deviation, 0.002 * abs(middle), out=deviation)
    above = centred[PAST:] - mean
    deviation *= 7
    hits = np.flatnonzero(above > deviation) + PAST
    height = above[hits - PAST] / np.maximum(np.abs(mean[hits - PAST] + middle), 1e-12)
    return hits, float(median(height)) if len(hits) else 0.0


def _mean_before(values: np.ndarray) -> np.ndarray:
    """Return the mean of the thousand values before each one that has so many before it."""
    sums = np.zeros(len(values))
    np.cumsum(values[:-1], out=sums[1:])
    means: np.ndarray = sums[PAST:] - sums[:-PAST]
    means /= PAST
    return means


def _finding(
    run: Run, name: str, series: Series, hits: np.ndarray, score: float, excess: float, strong: bool
) -> Finding:
    step = int(series.steps[hits[0]])
    what = "gradient norms" if name == "grad_norm" else "losses"
    return Finding(
        f"{len(hits):,} of {len(series):,} {what} ({score:.2%}) lie seven standard deviations or more above the mean "
        f"of the thousand before them, the typical one by {excess:,.0%}.",
        step,
        int(series.steps[hits[-1]]),
        name,
        {"score": score, "spikes": len(hits), "typical_excess": excess},
        (
            f"Look at the batches of these {run.unit}s for long repeated token sequences.",
            advice.clip(run, step),
            "Check initialisation, weight decay on embeddings, and normalised queries and keys.",
        ),
        Severity.WARNING if strong else Severity.INFO,
        steps=tuple(int(s) for s in series.steps[hits[:100]]),
    )
