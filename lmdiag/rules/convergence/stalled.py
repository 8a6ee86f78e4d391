import numpy as np

from lmdiag import loss_law
from lmdiag.beginning import holds_start
from lmdiag.figures import figure
from lmdiag.finding import BEGINS_LATER, NO_LAW, Curve, Finding, Findings, NotChecked, Severity, rule, too_few
from lmdiag.run import Run, Series
from lmdiag.stats.limits import LONGEST, MODEL_ERROR, SURE
from lmdiag.stats.rebound import sustained_rise
from lmdiag.stats.schedule import Schedule, observed
from lmdiag.stats.trend import total_gain
from lmdiag.stats.windows import median

POINTS = 60
SEEN = 0.6  # of the records: what the law is fitted to; the rest is what it predicts
LEAST_GAIN, ALARM_GAIN = 0.02, 0.05  # of the level: what the law must promise
LEAST_NATS = 0.02
SHARE, ALARM_SHARE = 0.25, 0.10  # of the promise: what the run got at most
ERRORS = 4.0
LEARNING = 0.3  # of the peak rate


@rule(family="convergence", needs=("curve",), severity=Severity.INFO, min_points=POINTS)
def check(run: Run, curve: Curve) -> Findings:
    """Loss stops falling where its own earlier course promised more.

    ## What it looks for
    A run that learned at first and then stands still at a middle level, at a learning rate that should still teach it.

    ## How it decides
    The law of the loss (a power law of the learning rate summed, less what annealing buys) is fitted to the first 60% of the records. It must promise a
    further fall of 2% of the level and 0.02 nat, four standard errors of its own forecast; the upper 95% bound of the fall that came (Theil-Sen on group
    medians) must be under a quarter of that. The learning rate, where logged, must stay above 30% of its peak. A warning needs a logged learning
    rate, a promise of 5% and a tenth of it kept: without them a flat curve may have learned all there is.

    ## Why it matters
    The rest of the compute buys nothing, and the plan of the run assumed otherwise.

    ## False alarms it avoids
    The flat end of a schedule, fine-tunes that are done, noise (an equivalence test, not a missing significance), runs that rise.

    ## What to try
    Look at what changed where it stopped: data order, mixture, learning rate. Then a larger rate, or a larger batch if the noise is what remains.

    ## References
    - Tissue, Wang & Wang 2024, Scaling law with learning rate annealing, arXiv:2408.11029.
    - Schuirmann 1987, two one-sided tests for equivalence.
    """
    losses = curve.series.thinned(LONGEST)
    if len(losses) < POINTS:
        yield too_few(len(losses), "finite values of the loss", POINTS)
        return
    if not holds_start(run, losses):
        yield BEGINS_LATER
        return
    if sustained_rise(losses.values):
        return
    split = int(SEEN * len(losses))
    early, late = losses.at(slice(split)), losses.at(slice(split, None))
    level = float(median(late.values))
    gain, error = total_gain(late.values)
    got = max(gain, 0.0) + SURE * error
    schedule = observed(run["lr"].steps, run["lr"].values) if "lr" in run else None
    if got >= LEAST_GAIN * level:
        return
    if not _learns(schedule, late):
        yield NotChecked(f"the learning rate ends below {LEARNING:.0%} of its peak")
        return
    law = loss_law.fit(early.steps, early.values, schedule)
    if law is None:
        yield NO_LAW
        return
    promised = _promise(law, early, late, max(LEAST_NATS, LEAST_GAIN * level, got / SHARE))
    if promised is None:
        return
    strong = schedule is not None and promised >= ALARM_GAIN * level and got < ALARM_SHARE * promised
    first = int(late.steps[0])
    yield Finding(
        f"The loss has stood still at {figure(level)} since {run.place(first)}: it gained at most {figure(got, 2)} "
        "nats, "
        f"where its course until then promised {figure(promised, 2)}.",
        first,
        int(late.steps[-1]),
        curve.metric,
        {"level": level, "largest_gain": got, "promised_gain": promised},
        (
            f"Look at what changed near {run.place(first)}: data order, mixture, sequence length, learning rate.",
            "Try a larger learning rate; if the noise is what remains, a larger batch or an earlier decay.",
        ),
        Severity.WARNING if strong else Severity.INFO,
    )


def _learns(schedule: Schedule | None, late: Series) -> bool:
    """Tell whether the learning rate stays high enough to the end of the run, as far as it is known."""
    if schedule is None:
        return True
    last = float(np.interp(late.steps[-1], schedule.steps, schedule.rates))
    return last >= LEARNING * schedule.rates.max()


def _promise(law: loss_law.Law, early: Series, late: Series, least: float) -> float | None:
    """Return the fall that the law of the early part promised for the late part; None where it is not sure of
    `least`."""
    tenth = len(late) // 10  # the gain leaves out the first tenth and compares the middles of group medians
    at = late.steps[[2 * tenth, -tenth - 1]].astype(float)
    fall = float(-np.diff(law.at(at))[0])
    if fall <= least:
        return None
    draws = loss_law.bootstrap(law, early.steps, early.values, at, law.schedule, draws=100)
    error = float(np.hypot(np.std(draws[:, 0] - draws[:, 1]), MODEL_ERROR * fall)) if len(draws) > 9 else np.inf
    surest = fall - SURE * error
    return surest if surest > least and fall >= ERRORS * float(np.std(draws[:, 0] - draws[:, 1])) else None
