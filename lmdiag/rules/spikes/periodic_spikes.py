import numpy as np

from lmdiag.finding import Curve, Finding, Findings, Severity, rule, too_few
from lmdiag.run import Run
from lmdiag.stats.spikes import DEVIATIONS, KEEPS_TIME, SMALLEST, find_spikes, regular_share

LEAST_SPIKES = 5
SPACED = 8  # records from one spike to the next: closer ones are the noise of every few records


@rule(family="spikes", needs=("curve",), severity=Severity.INFO, min_points=60)
def check(run: Run, curve: Curve, *, smallest: float = SMALLEST, deviations: float = DEVIATIONS) -> Findings:
    """Loss spikes at regular distances.

    ## What it looks for
    Spikes that come back after the same number of steps, again and again.

    ## How it decides
    The spikes are those of `loss-spike`. At least five of them, eight records or more apart, with 80% of the distances within 10% of a whole multiple (one
    or two) of their median. Spikes at random distances would have to fall in a fifth of the possible places four times of five: one in a hundred for
    five, and ever less likely for more.

    ## Why it matters
    Chance keeps no time. Something happens at this period: the end of an epoch, an evaluation that leaves the model in another mode, a checkpoint, a shard
    of other data.

    ## False alarms it avoids
    Spikes at random; a few spikes; noise from record to record.

    ## What to try
    Look for what the program does every so many steps, and switch it off for two periods.

    ## References
    - Groeneveld et al. 2025, OLMo 2, arXiv:2501.00656, section 3.1: spikes that come from the data come back with it.
    """
    metric, losses = curve
    if len(losses) < (LEAST_SPIKES - 1) * SPACED:
        yield too_few(len(losses), "finite values of the loss", (LEAST_SPIKES - 1) * SPACED)
        return
    spikes = find_spikes(losses.values, smallest=smallest, deviations=deviations)
    rows = np.array([spike.peak for spike in spikes])
    if len(rows) < LEAST_SPIKES or np.diff(rows).min() < SPACED:
        return
    period, regular = regular_share(losses.steps[rows])
    if regular < KEEPS_TIME:
        return
    yield Finding(
        f"{len(rows)} spikes come about every {period:,.0f} {run.unit}s: something happens at this period.",
        int(losses.steps[rows[0]]),
        int(losses.steps[rows[-1]]),
        metric,
        {"spikes": len(rows), "period": period, "regular_share": regular},
        (
            f"Look for what the program does every {period:,.0f} {run.unit}s: the end of an epoch, an evaluation, a "
            "checkpoint, another shard.",
            "After an evaluation: is the model back in training mode, with the same loss and the same batch size?",
            "Leave the learning rate as it is until this is known.",
        ),
        steps=tuple(losses.steps[rows].tolist()),
    )
