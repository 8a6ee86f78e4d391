from math import comb

import numpy as np

from lmdiag import advice
from lmdiag.figures import figure
from lmdiag.finding import NO_NORM, Finding, Findings, Severity, rule, too_few
from lmdiag.run import Run, Series
from lmdiag.stats.limits import RANK_TREND, SETTLED
from lmdiag.stats.trend import mann_kendall
from lmdiag.stats.windows import block_medians, centred_median, median

POINTS = 300
WINDOW = 51
JUMP = 3.0  # times the local median: a spike of the gradient norm
LEAST_SPIKES, RATIO, CHANCE = 6, 3.0, 0.001
GROWTH, ALARM_GROWTH = 2.0, 4.0
LONGEST = 20_000


@rule(family="divergence", needs=("grad_norm",), severity=Severity.INFO, min_points=POINTS)
def check(run: Run, norms: Series) -> Findings:
    """Gradient norm grows and its spikes become more frequent: the run is becoming unstable.

    ## What it looks for
    What comes before many divergences: a gradient norm that doubles over the second half of the run, with more and more spikes.

    ## How it decides
    Without the first tenth of the records: the median of the last tenth is at least twice that of the middle tenth, with a rank trend
    (Mann-Kendall) of 4 over the second half; and spikes (three times the local median of 51 records) are at least six and three times as frequent
    in the second half as in the first, at odds of one in a thousand (binomial). Both must hold. A warning when the norm grew fourfold and
    the loss of the second half did not fall.

    ## Why it matters
    Loss spikes and divergence follow, often a few thousand steps later, when it is too late to repair anything.

    ## False alarms it avoids
    The slow growth of the norm as the loss falls and as the learning rate decays (up to twofold, without spikes), isolated spikes,
    fine-tunes that memorise (their loss goes on falling).

    ## What to try
    Clip, lower the learning rate, then the structural remedies: normalise queries and keys, z-loss, no weight decay on embeddings. To tell the
    causes apart, log the gradient norm per layer: embeddings leading means their decay, attention leading means growing logits.

    ## References
    - Groeneveld et al. 2025, OLMo 2, arXiv:2501.00656, section 3.
    - Zeng et al. 2022, GLM-130B, arXiv:2210.02414, section 3.
    """
    norms = norms.at(norms.values > 0)
    held = len(norms)
    norms = norms.at(slice(int(SETTLED * held), None))
    if len(norms) < POINTS * (1 - SETTLED):
        yield too_few(held, "gradient norms above 0", POINTS) if held else NO_NORM
        return
    half = len(norms) // 2
    growth, trend = _growth(norms.values, half)
    if growth < GROWTH or trend < RANK_TREND:
        return
    spikes = _spikes(norms)
    early, late = int(np.sum(spikes < half)), int(np.sum(spikes >= half))
    if late < LEAST_SPIKES or late < RATIO * max(early, 1) or _chance(early, late) > CHANCE:
        return
    first = int(norms.steps[spikes[spikes >= half][0]])
    yield Finding(
        f"The gradient norm grew {figure(growth, 2)}-fold over the second half of the run, and its spikes became more "
        f"frequent: {early} in the first half, {late} in the second.",
        first,
        int(norms.steps[-1]),
        "grad_norm",
        {"growth": growth, "spikes_before": early, "spikes_after": late, "rank_trend": trend},
        (
            advice.clip(run, first),
            advice.lower_lr(run, first),
            "Log the gradient norm per layer: embeddings leading points to their weight decay, attention to growing "
            "logits.",
        ),
        Severity.WARNING if growth >= ALARM_GROWTH and not _still_falls(run, int(norms.steps[half])) else Severity.INFO,
        steps=tuple(int(norms.steps[i]) for i in spikes[:100]),
    )


def _growth(norms: np.ndarray, half: int) -> tuple[float, float]:
    tenth = max(5, len(norms) // 10)
    middle = float(median(norms[half - tenth // 2 : half + tenth // 2 + 1]))
    blocks, _ = block_medians(norms[half:], 40)
    return float(median(norms[-tenth:])) / middle, mann_kendall(blocks)


def _spikes(norms: Series) -> np.ndarray:
    """Return the indices at which spikes begin: of long logs, those that stand out of their block."""
    values = norms.values
    if len(values) > LONGEST:
        levels, starts = block_medians(values, len(values) // WINDOW)
        usual = levels[np.searchsorted(starts, np.arange(len(values)), side="right") - 1]
    else:
        usual = centred_median(values, WINDOW)
    high = values > JUMP * usual
    return np.flatnonzero(high & ~np.concatenate([[False], high[:-1]]))


def _chance(early: int, late: int) -> float:
    """Return the probability that so many or more of the spikes fall into the second half by chance."""
    total = min(early + late, 500)
    late = round(late * total / (early + late))
    return sum(comb(total, k) for k in range(late, total + 1)) / 2**total


def _still_falls(run: Run, since: int) -> bool:
    if run.curve is None:
        return False
    rest = run.curve[1].finite
    values = rest.values[rest.steps >= since]
    third = max(1, len(values) // 3)
    return len(values) >= 6 and bool(median(values[-third:]) < 0.99 * median(values[:third]))
