import numpy as np

from lmdiag import advice
from lmdiag.figures import figure, times
from lmdiag.finding import Curve, Finding, Findings, NotChecked, Severity, rule, too_few
from lmdiag.run import Run
from lmdiag.stats.noise import MEDIAN_ERROR, scatter, smoothing
from lmdiag.stats.turning import falling_fit
from lmdiag.stats.windows import block_medians, centred_median, median, quantile

POINTS = 200
BLOCKS = 240
REVERSALS = 6
# Of the last third, each of which swings by so much of the range: what one spike leaves does not
PARTS, LASTS = 3, 0.25
TEN_TO_NINETY = 2.56  # standard deviations between the 10% and the 90% quantile of a normal distribution
GROWTH, ALARM_GROWTH = 1.6, 2.0
LEAST_NATS, LEAST_SHARE, LEAST_ERRORS, ALARM_SHARE = 0.1, 0.03, 3.0, 0.06


@rule(family="divergence", needs=("curve",), severity=Severity.INFO, min_points=POINTS)
def check(run: Run, curve: Curve) -> Findings:
    """Loss swings up and down, and the swings become wider.

    ## What it looks for
    A loss around whose trend there are swings of many records, wider at the end of the run than after its start.

    ## How it decides
    The curve in at most 240 blocks, without the first tenth and less the best fit that only falls, or a running median of a fifth of them if that leaves less at the end: the swings (10 to 90% range) of the last
    third are at least 1.6 times those of the first third, 0.1 nat, 3% of the level, and three times what noise leaves in a block, as the log was smoothed; they
    cross the trend six times or more, and go on: each third of that stretch swings by a quarter of that range. A warning when the swings have doubled and reach 6%.

    ## Why it matters
    The learning rate is at the edge of stability and the edge is coming closer; divergence may follow.

    ## False alarms it avoids
    One spike that comes back; noise that grows as batches differ (independent noise averages out in a block), cycles of the learning rate, staircases of epochs (few
    crossings), a constant band.

    ## What to try
    Halve the learning rate, or start its decay. Compare the period of the swings with that of the data order: equal periods mean the data.

    ## References
    - Cohen et al. 2021, Gradient descent on neural networks typically occurs at the edge of stability, arXiv:2103.00065.
    """
    metric, losses = curve
    if len(losses) < POINTS:
        yield too_few(len(losses), "finite values of the loss", POINTS)
        return
    if _cyclic(run):
        yield NotChecked("the learning rate rises again after its peak, and the loss swings with it")
        return
    levels, starts = block_medians(losses.values, min(BLOCKS, len(losses) // 4))
    levels, starts = levels[len(levels) // 10 :], starts[len(levels) // 10 :]
    around = levels - centred_median(levels, len(levels) // 5 | 1)
    swings = levels - falling_fit(levels)
    third = len(swings) // 3
    first, last = _range(swings[:third]), min(_range(swings[-third:]), _range(around[-third:]))
    level = abs(float(median(levels[-third:])))
    crossings = int(np.sum(np.diff(np.sign(around[-third:])) != 0))
    if last < max(LEAST_NATS, LEAST_SHARE * level, GROWTH * first) or not REVERSALS <= crossings <= third // 2:
        return
    if min(_range(part) for part in np.array_split(swings[-third:], PARTS)) < LASTS * last:
        return
    tail = losses.values[starts[-third] :]
    if last < LEAST_ERRORS * _noise_of_a_block(tail, smoothing(losses.values), max(1, len(tail) // third)):
        return
    step = int(losses.steps[starts[-third]])
    period = 2 * (losses.steps[-1] - step) / crossings
    yield Finding(
        f"The loss swings by {figure(last, 3)} around {figure(level)} in the last third of the run, "
        f"{times(last / max(first, 1e-12))} times as much as in the first, with a period of about {period:,.0f} "
        f"{run.unit}s.",
        step,
        int(losses.steps[-1]),
        metric,
        {"level": level, "amplitude": last, "amplitude_before": first, "crossings": crossings, "period": float(period)},
        (
            advice.lower_lr(run, step),
            advice.clip(run, step),
            f"Look for something in the data or the schedule that repeats every {period:,.0f} {run.unit}s.",
        ),
        Severity.WARNING if last >= max(ALARM_GROWTH * first, ALARM_SHARE * level) else Severity.INFO,
    )


def _noise_of_a_block(values: np.ndarray, phi: float, width: int) -> float:
    """Return the range that noise alone gives the medians of so many neighbouring records, of a log that was smoothed by `phi`.

    Averaged noise of a standard deviation s scatters from record to record by s sqrt(1 - phi) only, and does not average out over fewer
    records than it was averaged over (first-order autoregression).
    """
    averaged_out = MEDIAN_ERROR * np.sqrt((1 + phi) / (1 - phi) / width)
    return float(TEN_TO_NINETY * scatter(values) / np.sqrt(1 - phi) * min(averaged_out, 1.0))


def _range(values: np.ndarray) -> float:
    return quantile(values, 0.9) - quantile(values, 0.1)


def _cyclic(run: Run) -> bool:
    """Tell whether the learning rate rises again after its peak."""
    if "lr" not in run:
        return False
    rates = run["lr"].finite.values
    if not len(rates):
        return False
    rest = rates[int(np.argmax(rates)) :]
    return bool((rest - np.minimum.accumulate(rest)).max() > 0.05 * rates.max())
