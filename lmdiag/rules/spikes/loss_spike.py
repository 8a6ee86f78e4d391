import numpy as np

from lmdiag import advice
from lmdiag.figures import figure, times
from lmdiag.finding import Curve, Finding, Findings, Severity, rule, too_few
from lmdiag.run import Run, Series
from lmdiag.stats.spikes import DEVIATIONS, KEEPS_TIME, SMALLEST, Spike, find_spikes, regular_share
from lmdiag.stats.windows import median

FEWEST = 3  # finite losses: a record, and one on each side
FAST_RECORDS, FAST_SHARE = 50, 0.02
FREQUENT_GROUPS, FREQUENT_SHARE, FREQUENT_EXCESS = 6, 0.015, 0.15
# Of a loss memorised down to 0.001 any wobble is a large share, and one example that is not memorised a spike
LEAST_NATS = 0.02
JUST_BEFORE = 4  # records: the level that the loss jumped from
CO_SPIKE = 3.0  # a gradient norm this many times its usual value belongs to the spike
TURNS = 10  # records: sources of data that take turns come back within as many


@rule(family="spikes", needs=("curve",), severity=Severity.INFO, min_points=6)
def check(run: Run, curve: Curve, *, smallest: float = SMALLEST, deviations: float = DEVIATIONS) -> Findings:
    """Loss jumps far above its recent level and comes back.

    ## What it looks for
    Records that stand above the median of what came before and above the median of what came after.

    ## How it decides
    In log loss, with windows of 4, 15 and 50 records: the excess over the larger of the two medians is at least `smallest` (6%) and at least
    `deviations` robust standard deviations of the 60 neighbours either side. Taking the larger side is what keeps steep descents
    and changes of level silent. Each spike has a recovery class: fast (back within 50 records or 2% of the run) or slow. A gradient norm of three
    times its usual value at the spike, or just before, says the optimizer caused it; without one, a bad batch did.

    ## Why it matters
    A single spike costs little. Many are how an unstable run announces itself: from six spikes, one in 67 records and
    15% median excess on, this is a warning, of those that stand on a level of 0.02 or more: of a training set learned by heart, every example that is
    not makes a spike; and unless four of five come one or two times as far apart as usual, up to ten records: such spikes are of the data, whose
    sources take turns.

    ## False alarms it avoids
    Descents, warm-up, level shifts, heavy-tailed loss of single batches (which is why the excess has a floor), the first and last record.

    ## What to try
    Nothing for one that recovered fast. For many: clip gradients, lengthen warm-up, raise the batch size, look at the batches of
    these steps. To tell optimizer from data, log the gradient norm at every step.

    ## References
    - Groeneveld et al. 2025, OLMo 2, arXiv:2501.00656, section 3: spike score.
    - Zhai et al. 2023, Stabilizing Transformer training, arXiv:2303.06296.
    """
    metric, losses = curve
    if len(losses) < FEWEST:
        yield too_few(len(losses), "finite values of the loss", FEWEST)
        return
    spikes = find_spikes(losses.values, smallest=smallest, deviations=deviations)
    spikes = [s for s in spikes if losses.values[s.peak] - _level(losses.values, s) >= LEAST_NATS]
    if not spikes:
        return
    chosen = _to_report(spikes)
    slow = _recovery_records(losses.values, chosen) > max(FAST_RECORDS, FAST_SHARE * len(losses))
    gradient = _gradient_ratio(run, int(losses.steps[chosen.peak]))
    frequent = _frequent([s for s in spikes if _level(losses.values, s) >= LEAST_NATS], len(losses))
    step = int(losses.steps[chosen.first])
    yield Finding(
        _message(run, losses, spikes, chosen, slow, gradient),
        step,
        int(losses.steps[chosen.last]),
        metric,
        _evidence(losses, spikes, chosen, gradient),
        _advice(run, step, frequent, gradient),
        Severity.WARNING if frequent else Severity.INFO,
        steps=tuple(int(losses.steps[s.peak]) for s in spikes),
    )


def _to_report(spikes: list[Spike]) -> Spike:
    """Return the first spike if it is at least half as large as the largest, else the largest."""
    largest = max(spikes, key=lambda s: s.excess)
    return spikes[0] if spikes[0].excess >= largest.excess / 2 else largest


def _level(values: np.ndarray, spike: Spike) -> float:
    """Return the level that a spike stands on."""
    return float(values[spike.peak] * np.exp(-spike.excess))


def _frequent(spikes: list[Spike], records: int) -> bool:
    if not spikes:
        return False
    typical = float(np.expm1(median([s.excess for s in spikes])))
    if len(spikes) < max(FREQUENT_GROUPS, FREQUENT_SHARE * records) or typical < FREQUENT_EXCESS:
        return False
    period, regular = regular_share(np.array([s.peak for s in spikes]))
    return regular < KEEPS_TIME or period > TURNS


def _recovery_records(values: np.ndarray, spike: Spike) -> int:
    """Count the records until the loss has given back three quarters of the excess."""
    level = values[spike.peak] * np.exp(-0.75 * spike.excess)
    back = np.flatnonzero(values[spike.peak :] <= level)
    return int(back[0]) if len(back) else len(values) - spike.peak


def _gradient_ratio(run: Run, step: int) -> float | None:
    if "grad_norm" not in run:
        return None
    norms = run["grad_norm"].finite
    row = int(np.searchsorted(norms.steps, step, side="right"))
    usual = norms.values[max(0, row - 52) : max(0, row - 3)]
    near = norms.values[max(0, row - 3) : row + 1]
    return float(near.max() / median(usual)) if len(usual) >= 4 and len(near) and median(usual) > 0 else None


def _message(run: Run, curve: Series, spikes: list[Spike], chosen: Spike, slow: bool, gradient: float | None) -> str:
    peak, step = curve.values[chosen.peak], int(curve.steps[chosen.peak])
    level = float(median(curve.values[max(0, chosen.first - JUST_BEFORE) : chosen.first]))
    others = f", one of {len(spikes):,} spikes" if len(spikes) > 1 else ""
    cause = ""
    if gradient is not None:
        cause = (
            f"; the gradient norm was {times(gradient)} times its usual value"
            if gradient >= CO_SPIKE
            else "; the gradient norm did not jump with it"
        )
    jump = f"The loss jumped from {figure(level)} to {figure(peak)} at {run.place(step)}"
    return f"{jump} and came back {'slowly' if slow else 'fast'}{others}{cause}."


def _evidence(curve: Series, spikes: list[Spike], chosen: Spike, gradient: float | None) -> dict[str, float]:
    evidence = {
        "spikes": len(spikes),
        "peak": float(curve.values[chosen.peak]),
        "excess": float(np.expm1(chosen.excess)),
        "deviations": chosen.deviations,
        "recovery_records": _recovery_records(curve.values, chosen),
    }
    return evidence if gradient is None else {**evidence, "gradient_ratio": gradient}


def _advice(run: Run, step: int, frequent: bool, gradient: float | None) -> tuple[str, ...]:
    if not frequent:
        return ("Nothing to do as long as spikes stay rare.",)
    cause = (
        () if gradient is not None else ("Log the gradient norm at every step: it tells the optimizer from the data.",)
    )
    return (
        *cause,
        advice.clip(run, step),
        "Lengthen warm-up, or lower the peak learning rate.",
        f"Look at the batches of these {run.unit}s.",
    )
