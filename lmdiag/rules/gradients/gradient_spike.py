import numpy as np

from lmdiag import advice
from lmdiag.figures import figure, times
from lmdiag.finding import NO_NORM, Finding, Findings, Severity, rule, too_few
from lmdiag.run import Run, Series
from lmdiag.stats.limits import BEFORE, SCATTER_FLOOR
from lmdiag.stats.noise import MAD_TO_SIGMA, expected_largest
from lmdiag.stats.rebound import grown_from
from lmdiag.stats.returning import BESIDE, stands
from lmdiag.stats.spikes import standing_out
from lmdiag.stats.trend import mann_kendall
from lmdiag.stats.windows import block_medians, median, medians_beside, quantile, rolling_median

CERTAIN = 30.0  # ratio that needs no comparison with the scatter
FEW_JUMPS, ISOLATED = 2, 0.01  # jumps; share of the records
TAIL, ABOVE_TAIL = 0.9, 3.0  # but with the largest before it: the norms of a converging classifier have a long tail
ABOVE_LARGEST, RECENT = 2.0, 25  # ratio to the largest ordinary norm of so many before: such a tail was seen already
LEAST_FOR_TAIL, MOST_FOR_TAIL = 40, 5000  # records that show the tail of the norms, and of which no more are asked
NEAR = 0.05  # of the fall of the loss, above its lowest level
AFTERSHOCKS = 10  # records after a jump whose norms belong to it
# Parts of a run whose norm grew, which it did from where it stays above so many times the early one
GROWTH_BLOCKS, DOUBLED = 40, 2.0
RISING = 3.0  # Mann-Kendall z


@rule(family="gradients", needs=("grad_norm",), severity=Severity.WARNING, min_points=8)
def check(run: Run, norms: Series, *, ratio: float = 10.0, deviations: float = 4.0) -> Findings:
    """Gradient norm jumps or grows to ten times its usual value.

    ## What it looks for
    Records whose gradient norm is far above the records before, or a norm that has grown tenfold over the run.

    ## How it decides
    | finding | asks for | why that much |
    |---|---|---|
    | jump | from the third record, or 5% of the run, on: `ratio` times the median of the 50 records before, `deviations` robust standard deviations of the logarithm above it, and twice the largest of the last 25 that was no jump itself | first norms are large, and a tail that was seen lately is usual |
    | the same, at once | 30 times that median, and three times the 90th percentile of those records | so much needs no comparison with the scatter |
    | the same, of 40 records or more | twice the largest that so many norms show by chance: their tail before it, beyond the 90th percentile, extended as an exponential | the norms of a converging classifier have a long tail |
    | growth, without a jump | the last tenth is `ratio` times the stretch from 10% to 30% of the run, with a rank trend since; where the end is above the first tenth, that from 30 to 50% or from 50 to 70% counts, too | norms grow up to three times while the rate decays |
    | growth of fewer than 40 records | from some record on all are twice the largest before, ten times as large in the median, and the median loss does not fall meanwhile | the norm of an adapter that begins at 0 grows as it learns |

    | information only | asks for |
    |---|---|
    | absorbed | a single jump below 30 times that clipping cut |
    | without a trace | two jumps, or in up to 1% of the records, none among the last five; behind each the loss (where it is not logged, that of the evaluations) is finite and stands where it stood before (medians of five records, four standard errors), behind a single one within ten records |
    | the same, clipped | behind each the loss is above its lowest level by a twentieth of its whole fall at most |

    A norm that grew did so from where it stays above twice the early one.

    ## Why it matters
    A gradient this large moves the weights as far as ten ordinary ones, unless it is clipped; repeated, it precedes divergence.

    ## False alarms it avoids
    The large gradients of the first steps, the long tail of the norms of a converging classifier, the slow growth of the norm as the learning rate decays (up to 3 times in healthy runs), overflow, which
    `non-finite-gradient` reports.

    ## What to try
    Clip at the 90th percentile of the norm. Look at the batch of this step: the gradient says which one. If it recurs, lower the learning rate
    or lengthen warm-up.

    ## References
    - Pascanu et al. 2013, On the difficulty of training recurrent neural networks, arXiv:1211.5063: clipping.
    - Godbole et al. 2023, Deep learning tuning playbook: clip at the 90th percentile.
    """
    norms = norms.at(norms.values > 0)
    if len(norms) < 8:
        yield too_few(len(norms), "gradient norms above 0", 8) if len(norms) else NO_NORM
        return
    hits, ratios = _beyond_the_tail(norms.values, *_jumps(norms.values, ratio, deviations))
    if len(hits):
        yield _jump(run, norms, hits, ratios)
        return
    n = len(norms)
    few = n < GROWTH_BLOCKS
    early, since = _lowest(norms.values)
    late = float(median(norms.values[-max(2, n // 10) :]))
    grew = late >= ratio * early and mann_kendall(np.log(norms.values[since:])) > RISING
    if grew and not (few and _loss_fell(run, int(norms.steps[n // 2]))):
        yield _growth(run, norms, late / early, early)
        return
    at = grown_from(norms.values) if few else None
    if at is not None and not _loss_fell(run, int(norms.steps[at])):
        yield _growth_of_few(run, norms, at)


def _lowest(values: np.ndarray) -> tuple[float, int]:
    """Return the level that norms grew from, and the row where that stretch begins: the lowest fifth behind the first tenth, if the end is above the start."""
    n = len(values)
    starts = [n // 10]
    if n >= GROWTH_BLOCKS and median(values[-(n // 10) :]) >= median(values[: n // 10]):
        starts += [3 * n // 10, n // 2]
    levels = [float(median(values[at : at + max(n // 5, 2)])) for at in starts]
    lowest = int(np.argmin(levels))
    return levels[lowest], starts[lowest] if lowest else 0


def _jumps(values: np.ndarray, ratio: float, deviations: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of the jumps, and their ratios to the median of the records before."""
    logs = np.log(values)
    possible = standing_out(logs, np.log(ratio))
    before, _ = medians_beside(logs, BEFORE, possible)
    excess = np.nan_to_num(logs[possible] - before, nan=0.0)
    first = max(3, len(values) // 20)
    high = (excess >= np.log(ratio)) & (possible >= min(first, 6))
    candidates = zip(possible[high].tolist(), excess[high].tolist())
    ordinary, hits = logs.copy(), {}
    ordinary[:first] = -np.inf  # start-up says nothing of the tail
    for i, above in candidates:
        if _stands_out(logs, ordinary, i, above, i >= max(first, 6), deviations):
            hits[i] = above
            ordinary[i] = -np.inf
    return np.array(list(hits), dtype=int), np.exp(list(hits.values()))


def _beyond_the_tail(values: np.ndarray, hits: np.ndarray, ratios: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return those of the jumps that so many norms, with the tail that they had before the jump, would not show by chance."""
    n = len(values)
    if not len(hits) or n < LEAST_FOR_TAIL:
        return hits, ratios
    logs = np.log(values)
    ordinary = np.linspace(n // 20, n - 1, min(n, MOST_FOR_TAIL)).astype(int)
    last_hit = np.r_[-n, hits][np.searchsorted(hits, ordinary, side="right")]
    ordinary = ordinary[ordinary - last_hit > AFTERSHOCKS]
    before, _ = medians_beside(logs, BEFORE, ordinary)
    excesses = logs[ordinary] - before
    beyond = []
    for hit, excess in zip(hits.tolist(), np.log(ratios).tolist()):
        known = excesses[: np.searchsorted(ordinary, hit)]
        enough = len(known) >= LEAST_FOR_TAIL // 2
        beyond.append(not enough or excess >= expected_largest(known, n) + np.log(ABOVE_LARGEST))
    return hits[beyond], ratios[beyond]


def _stands_out(
    logs: np.ndarray, ordinary: np.ndarray, i: int, excess: float, settled: bool, deviations: float
) -> bool:
    recent = logs[max(0, i - BEFORE) : i]
    if excess >= np.log(CERTAIN):
        return i >= 3 and bool(logs[i] - quantile(recent, TAIL) >= np.log(ABOVE_TAIL))
    if not settled or logs[i] - ordinary[max(0, i - RECENT) : i].max() < np.log(ABOVE_LARGEST):
        return False
    spread = MAD_TO_SIGMA * float(median(np.abs(recent - median(recent))))
    return bool(excess >= deviations * max(spread, SCATTER_FLOOR))


def _jump(run: Run, norms: Series, hits: np.ndarray, ratios: np.ndarray) -> Finding:
    highest = int(np.argmax(ratios))
    step, value = int(norms.steps[hits[highest]]), float(norms.values[hits[highest]])
    others = f", the largest of {len(hits)} such records" if len(hits) > 1 else ""
    limit = run.config.get("grad_clip")
    absorbed = f"; clipping at {limit} absorbed it" if limit and value > limit else ""
    small = bool(limit) and len(hits) == 1 and bool(ratios[highest] < CERTAIN)
    harmless = small or _left_no_trace(run, norms, hits)
    return Finding(
        f"The gradient norm jumped to {figure(value, 3)} at {run.place(step)}, {times(ratios[highest], 3)} times its "
        f"usual value{others}{absorbed}.",
        int(norms.steps[hits[0]]),
        int(norms.steps[hits[-1]]),
        "grad_norm",
        {"largest": value, "ratio": float(ratios[highest]), "records": len(hits)},
        _advice(run, step, bool(absorbed), harmless),
        Severity.INFO if harmless else Severity.WARNING,
        steps=tuple(norms.steps[hits][:50].tolist()),
    )


def _left_no_trace(run: Run, norms: Series, hits: np.ndarray) -> bool:
    """Tell whether the jumps are few, over before the end, and the loss stands behind each of them where it stood before, behind a single one soon."""
    curve = ("loss", run["loss"]) if "loss" in run else run.curve
    if curve is None or len(hits) > max(FEW_JUMPS, ISOLATED * len(norms)) or hits[-1] >= len(norms) - BESIDE:
        return False
    losses = curve[1]
    rows = np.searchsorted(losses.steps, norms.steps[hits])
    if rows[-1] >= len(losses):  # nothing was measured since
        return False
    if stands(losses.values, rows):
        return True
    alone = len(hits) == 1 and hits[0] < len(norms) - AFTERSHOCKS - BESIDE and rows[0] < len(losses) - AFTERSHOCKS
    if alone and stands(losses.values, rows, AFTERSHOCKS):
        return True
    limit = run.config.get("grad_clip") or np.inf
    return bool((norms.values[hits] > limit).all()) and _near_the_best(losses.values, rows)


def _near_the_best(losses: np.ndarray, rows: np.ndarray) -> bool:
    """Tell whether the loss is finite and behind each jump as near to its lowest level as a twentieth of its whole fall: what a loss near 0 does is noise."""
    if not np.isfinite(losses).all() or len(losses) < 2 * BESIDE:
        return False
    start = float(median(losses[:BESIDE]))
    lowest = float(rolling_median(losses, BESIDE).min())
    behind = (float(median(losses[row : row + BESIDE])) for row in rows.tolist())
    return all(level <= lowest + NEAR * (start - lowest) for level in behind)


def _advice(run: Run, step: int, absorbed: bool, harmless: bool) -> tuple[str, ...]:
    look = f"Look at the batch of this {run.unit}."
    if absorbed:
        return look, "Nothing to change: the clipping limit took its force."
    if harmless:
        return look, "Nothing to change while such jumps stay rare: the loss is back."
    return look, advice.clip(run, step), "If it comes again, warm up for longer, or lower the learning rate."


def _loss_fell(run: Run, step: int) -> bool:
    """Tell whether the median loss is lower from a step on than before it: then the gradient may be that of what is being learned."""
    if "loss" not in run:
        return False
    losses = run["loss"].finite
    before, after = losses.values[losses.steps < step], losses.values[losses.steps >= step]
    return not len(before) or not len(after) or float(median(after)) < float(median(before))


def _growth_of_few(run: Run, norms: Series, at: int) -> Finding:
    early, late, step = float(median(norms.values[:at])), float(median(norms.values[at:])), int(norms.steps[at])
    return Finding(
        f"The gradient norm grew {figure(late / early, 2)}-fold at {run.place(step)} and stayed up: a median of {figure(early, 3)} before, and of "
        f"{figure(late, 3)} since.",
        step,
        int(norms.steps[-1]),
        "grad_norm",
        {"growth": late / early},
        (advice.lower_lr(run, step), advice.clip(run, step)),
        Severity.WARNING,
    )


def _growth(run: Run, norms: Series, growth: float, early: float) -> Finding:
    levels, starts = block_medians(norms.values, GROWTH_BLOCKS)
    below = np.flatnonzero(levels < DOUBLED * early)
    onset = int(norms.steps[starts[min(below[-1] + 1, len(starts) - 1)] if len(below) else 0])
    return Finding(
        f"The gradient norm grew {figure(growth, 2)}-fold, "
        f"to a median of {figure(float(median(norms.values[-max(2, len(norms) // 10) :])), 3)}, from {run.place(onset)} on.",
        onset,
        int(norms.steps[-1]),
        "grad_norm",
        {"growth": growth},
        (
            advice.lower_lr(run, onset),
            advice.clip(run, onset),
            "Watch the parameter norm: weight decay may be missing.",
        ),
        Severity.WARNING,
    )
