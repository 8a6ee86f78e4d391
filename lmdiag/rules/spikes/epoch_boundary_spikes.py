import numpy as np

from lmdiag.figures import figure
from lmdiag.finding import Curve, Finding, Findings, Severity, rule, too_few
from lmdiag.passes import passed_at
from lmdiag.run import Run, Series
from lmdiag.stats.spikes import DEVIATIONS, SMALLEST, Spike, find_spikes
from lmdiag.stats.windows import median

AT_BOUNDARY = 0.02  # of an epoch, or one record
LEAST_SPIKES, LEAST_SHARE, CHANCE_RATIO = 4, 0.75, 4.0
ALARM_EXCESS, ALARM_SHARE = 0.30, 0.5  # of the loss around; of the epochs
RECORDS_PER_EPOCH = 8


@rule(family="spikes", needs=("curve", "epoch"), severity=Severity.INFO, min_points=30)
def check(
    run: Run, curve: Curve, epochs: Series, *, smallest: float = SMALLEST, deviations: float = DEVIATIONS
) -> Findings:
    """Loss spikes where an epoch ends.

    ## What it looks for
    Spikes that come at the end of every epoch, and hardly anywhere else.

    ## How it decides
    The spikes are those of `loss-spike`. At least four, three quarters of them within 2% of an epoch (or one record) of an epoch's end, and four times
    as many there as spikes at random places would give. A warning when the typical spike is 30% high and half of the epochs end in one: what
    an incomplete batch does, it does every time.

    ## Why it matters
    The learning rate is not the cause: the last batch of an epoch is short, or the accumulation of gradients runs over the boundary and weighs a few
    samples like a full batch.

    ## False alarms it avoids
    Epochs of fewer than eight records, where every record is near a boundary; spikes that only by chance fall there; a counter of whole
    epochs, which stands at a boundary in every record.

    ## What to try
    Drop the last incomplete batch, weigh the loss by the number of tokens, shuffle anew each epoch.

    ## References
    - PyTorch documentation, `DataLoader(drop_last=True)`.
    """
    metric, losses = curve
    if len(losses) < 30:
        yield too_few(len(losses), "finite values of the loss", 30)
        return
    if len(epochs) < 2:
        yield too_few(len(epochs), "finite values of the epoch", 2)
        return
    at = passed_at(losses.steps, epochs)
    passed = float(at[-1] - at[0])
    ends = max(0, int(np.floor(at[-1]) - np.floor(at[0])))
    if ends < LEAST_SPIKES - 1:
        yield too_few(ends, "ends of epochs in the log", LEAST_SPIKES - 1)
        return
    if len(losses) / passed < RECORDS_PER_EPOCH:
        yield too_few(int(len(losses) / passed), "records per epoch", RECORDS_PER_EPOCH)
        return
    reach = max(AT_BOUNDARY, 1.5 * passed / len(losses))
    if not _high_at_boundaries(losses.values, at, smallest, reach):
        return
    spikes = find_spikes(losses.values, smallest=smallest, deviations=deviations)
    near = [s for s in spikes if abs(at[s.peak] - round(at[s.peak])) <= reach and round(at[s.peak]) >= 1]
    if len(near) < LEAST_SPIKES or len(near) < max(LEAST_SHARE, CHANCE_RATIO * 2 * reach) * len(spikes):
        return
    yield _finding(losses, metric, spikes, near, passed, ends)


def _high_at_boundaries(values: np.ndarray, at: np.ndarray, smallest: float, reach: float) -> bool:
    """Tell, before the search for spikes, whether any could stand at enough of the boundaries."""
    ends = np.arange(max(1.0, np.round(at[0])), np.round(at[-1]) + 1)
    first, stop = np.searchsorted(at, ends - reach), np.searchsorted(at, ends + reach, side="right")
    middle = float(median(values))
    tops = [
        values[a:b].max() / max(median(values[max(0, a - 30) : b + 30]), 1e-3 * middle, 1e-12)
        for a, b in zip(first, stop)
        if b > a
    ]
    return int(np.sum(np.array(tops) >= 1 + smallest)) >= LEAST_SPIKES


def _finding(curve: Series, metric: str, spikes: list[Spike], near: list[Spike], passed: float, ends: int) -> Finding:
    typical = float(np.expm1(median([s.excess for s in near])))
    height = f"{typical:.0%} above the loss" if typical < 10 else f"at {figure(typical + 1, 2)} times the loss"
    grave = typical >= ALARM_EXCESS and len(near) >= ALARM_SHARE * ends
    return Finding(
        f"{len(near)} of {len(spikes)} spikes fall on the end of an epoch; the typical one stands {height} around it.",
        int(curve.steps[near[0].peak]),
        int(curve.steps[near[-1].peak]),
        metric,
        {"spikes": len(spikes), "at_boundaries": len(near), "epochs": passed, "typical_excess": typical},
        (
            "Drop the last incomplete batch of an epoch (`drop_last=True`), or weigh the loss by its number of tokens.",
            "Do not let gradient accumulation run across the end of an epoch.",
            "Leave the learning rate as it is: it does not cause these spikes.",
        ),
        Severity.WARNING if grave else Severity.INFO,
        steps=tuple(int(curve.steps[s.peak]) for s in near),
    )
