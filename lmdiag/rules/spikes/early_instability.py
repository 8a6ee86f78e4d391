import numpy as np

from lmdiag import advice
from lmdiag.beginning import holds_start
from lmdiag.figures import figure
from lmdiag.finding import BEGINS_LATER, NO_RATE, WARMING_UP, Curve, Finding, Findings, Severity, rule, too_few
from lmdiag.run import Run, Series
from lmdiag.stats.limits import LONGEST
from lmdiag.stats.noise import lasting_scatter, scatter
from lmdiag.stats.phases import Phases, phases
from lmdiag.stats.spikes import Spike, find_spikes
from lmdiag.stats.windows import median, rolling_median
from lmdiag.updates import moves

EARLY = 0.10  # of the run
SHORT_WARMUP = 0.01  # of the steps
LEAST_SPIKES = 2
ALARM_SPIKES, ALARM_EXCESS = 3, 0.30
ALARM_SHARE = 0.015  # of the early records, as in `loss-spike`
MORE_OFTEN = 3.0  # spikes a record, over those of the rest: heavy-tailed losses have them all through the run
ABOVE_NOISE = 4.0  # standard deviations of a record: the first one may be low by chance
HIGHEST = 0.67  # of a standard deviation: the scatter of medians of three, whose highest of n is high by luck


@rule(family="spikes", needs=("curve", "lr"), severity=Severity.INFO, min_points=30)
def check(run: Run, curve: Curve, rates: Series, *, smallest: float = 0.15, deviations: float = 8.0) -> Findings:
    """Loss spikes in the first steps of a run without warm-up.

    ## What it looks for
    At least two spikes, or a rise far above the first loss, in the first tenth of a run whose learning rate starts at its peak, or reaches it within 1% of
    the steps.

    ## How it decides
    Spikes as in `loss-spike`, but 15% high and at eight standard deviations, because the start of a run is rough; and three times as frequent as in the rest. The log must hold the start. From
    three spikes, one in 67 records and 30% on it is a warning, and so is a rise by 30% and four standard deviations, and the luck of the highest of n, above the first loss that three records in a row confirm: an untrained model can only get
    better by small steps.

    ## Why it matters
    The first steps at full rate throw the weights far from their initialisation while the optimizer's averages are still empty. Some runs
    never make up for it.

    ## False alarms it avoids
    Runs without warm-up that start smoothly, as fine-tunes do: a missing warm-up alone is no finding.

    ## What to try
    Warm up over a tenth of a short run, over 2,000 steps at most.

    ## References
    - Gilmer et al. 2021, A loss curvature perspective on training instability in deep learning, arXiv:2110.04369.
    """
    metric, losses = curve
    schedule = phases(rates.steps, rates.values)
    if len(losses) < 30:
        yield too_few(len(losses), "finite values of the loss", 30)
        return
    if schedule is None:
        yield NO_RATE
        return
    if not holds_start(run, losses):
        yield BEGINS_LATER
        return
    if schedule.still_warming:
        yield WARMING_UP
        return
    span = int(losses.steps[-1]) - int(losses.steps[0])
    warm = schedule.warm_step - int(run["lr"].steps[0])
    if warm > SHORT_WARMUP * span:
        return
    limit = losses.steps[0] + EARLY * span
    start = losses.between(int(losses.steps[0]), int(limit + 0.5 * EARLY * span))
    early = start.values[start.steps <= limit]
    highest = float(rolling_median(early, 3).max()) if len(early) >= 3 else 0.0
    first = float(losses.values[0])
    start_level = max(first, float(median(losses.values[:3])))
    above = first > 0 and highest >= (1 + ALARM_EXCESS) * start_level
    if above and highest >= (1 + _noise(losses, early)) * start_level:
        reached = f"the median of three neighbouring records reaches {figure(highest)}"
        message = f"The loss starts at {figure(first)}, and {reached} in the first {EARLY:.0%} of the run"
        top = int(start.steps[int(np.argmax(early))])
        evidence = {"first": first, "highest": highest}
        yield _finding(run, metric, schedule, (int(losses.steps[0]), top), message, evidence, Severity.WARNING)
        return
    spikes = [
        s for s in find_spikes(start.values, smallest=smallest, deviations=deviations) if start.steps[s.peak] <= limit
    ]
    if len(spikes) < LEAST_SPIKES or not _more_than_later(losses, spikes, int(limit), smallest, deviations):
        return
    largest = float(np.expm1(max(s.excess for s in spikes)))
    steps = tuple(int(losses.steps[s.peak]) for s in spikes)
    message = f"The loss has {len(spikes)} spikes of up to {largest:,.0%} in the first {EARLY:.0%} of the run"
    evidence = {"spikes": len(spikes), "largest_excess": largest}
    severity = Severity.INFO
    if len(spikes) >= max(ALARM_SPIKES, ALARM_SHARE * len(early)) and largest >= ALARM_EXCESS:
        severity = Severity.WARNING
    yield _finding(run, metric, schedule, steps, message, evidence, severity)


def _more_than_later(losses: Series, spikes: list[Spike], limit: int, smallest: float, deviations: float) -> bool:
    """Tell whether spikes are clearly more frequent up to a step than behind it."""
    later = losses.values[losses.steps > limit]
    behind = find_spikes(later, smallest=smallest, deviations=deviations)
    return len(spikes) * len(later) >= MORE_OFTEN * len(behind) * (len(losses) - len(later))


def _noise(losses: Series, early: np.ndarray) -> float:
    """Return by which share of the first record the highest median of the early ones may stand above it by chance."""
    rest, start = (np.log(np.maximum(values, 1e-12)) for values in (losses.thinned(LONGEST).values, early))
    sigma = max(lasting_scatter(rest), scatter(rest), scatter(start))
    return float(np.expm1((ABOVE_NOISE + HIGHEST * np.sqrt(2 * np.log(len(start)))) * sigma))


def _finding(
    run: Run,
    metric: str,
    schedule: Phases,
    steps: tuple[int, ...],
    message: str,
    evidence: dict[str, float],
    severity: Severity,
) -> Finding:
    warm_up = schedule.warm_step - int(run["lr"].steps[0])
    longer, lower, moved = advice.warm_up(run, warm_up), advice.lower_lr(run, steps[0]), moves(run, steps[0])
    measured = moved is not None and moved.usual_lr <= schedule.peak / 2  # a warm-up alone leaves such updates as large
    few = f"with only {warm_up:,} {run.unit}{'s' if warm_up > 1 else ''} of warm-up" if warm_up else "without warm-up"
    return Finding(
        f"{message}, {few}: the learning rate is at its peak of {figure(schedule.peak, 3)} "
        f"from {run.place(schedule.warm_step)} on.",
        steps[0],
        steps[-1],
        metric,
        {**evidence, "warmup_steps": warm_up, "peak_lr": schedule.peak},
        (
            *((lower, longer) if measured else (longer, lower)),
            advice.clip(run, steps[-1]),
        ),
        severity,
        steps=steps,
    )
