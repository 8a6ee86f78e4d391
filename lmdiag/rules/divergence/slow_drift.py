import numpy as np

from lmdiag import advice
from lmdiag.figures import figure
from lmdiag.finding import Curve, Finding, Findings, Severity, rule, too_few
from lmdiag.run import Run, Series
from lmdiag.stats.change import cusum
from lmdiag.stats.course import SIGMAS, course
from lmdiag.stats.limits import LONGEST, LOW_RATE, RANK_TREND
from lmdiag.stats.noise import median_difference_error, scatter, smoothing, wander
from lmdiag.stats.phases import phases
from lmdiag.stats.rebound import sustained_rise
from lmdiag.stats.trend import mann_kendall
from lmdiag.stats.windows import lowest_median, median, rolling_median

POINTS = 40
TAIL_SHARE = 0.15  # of the records after the minimum; a shorter rise may be the order of the data
LEAST_NATS, LEAST_SHARE, LEAST_ERRORS = 0.03, 0.01, 5.0
KNOWN_NOISE = 8  # evaluations, of which the luckiest one is not taken for their level
ALARM_NATS, ALARM_SHARE, ALARM_ERRORS = 0.05, 0.02, 8.0


@rule(family="divergence", needs=("curve",), severity=Severity.INFO, min_points=POINTS)
def check(run: Run, curve: Curve) -> Findings:
    """Loss creeps up, too slowly to be called divergence yet.

    ## What it looks for
    A loss that has passed its minimum and rises, by less than the 3% from which it counts as divergence.

    ## How it decides
    After the lowest stretch (rolling median of a tenth of the records) there must be 15% of the records. Their rank trend (Mann-Kendall, corrected for
    smoothed logs) is at least 4, and the last tenth lies above the lowest stretch by 0.03 nat, 1% and 5 standard errors, slow wander of the
    curve included. The onset comes from a one-sided cumulative sum (CUSUM, slack 0.5, alarm at 12 standard deviations: about one false alarm in a
    million records). A warning from 0.05 nat, 2% and 8 standard errors on, if the evaluation has left its best value as well,
    and of 8 evaluations or more their lowest level by 1% and three standard errors.

    ## Why it matters
    Slow drift is how a rate that is a little too high shows, long before the run blows up; every step after the minimum is lost.

    ## False alarms it avoids
    The rise within the last epoch at almost zero learning rate, changes of the data mixture (the evaluation decides), slow wander, the flat end of a
    schedule. The lowest of many stretches is luckily low by up to three standard errors, which is why five are asked for.

    ## What to try
    Keep the checkpoint before the drift, lower the learning rate or start its decay. To tell drift from data, evaluate the checkpoint of the
    minimum and the newest one on the same batches.

    ## References
    - Page 1954, Continuous inspection schemes, Biometrika 41.
    - Siegmund 1985, Sequential analysis: average run length of CUSUM.
    """
    losses = curve.series.thinned(LONGEST)
    if len(losses) < POINTS:
        yield too_few(len(losses), "finite values of the loss", POINTS)
        return
    if sustained_rise(losses.values):
        return
    width = max(5, len(losses) // 10) | 1
    high = float(median(losses.values[-width:]))
    low = lowest_median(losses.values, width)
    if high - low < max(LEAST_NATS, LEAST_SHARE * low):
        return
    levels = rolling_median(losses.values, width)
    low_at = int(np.argmin(levels)) + width // 2
    tail = losses.values[low_at:]
    if len(tail) < max(20, TAIL_SHARE * len(losses)):
        return
    phi = smoothing(losses.values)
    sigma = scatter(losses.values)
    error = max(median_difference_error(sigma, phi, width, width), wander(losses.values[:low_at], width), 1e-12)
    errors, trend = (high - low) / error, mann_kendall(tail) * float(np.sqrt((1 - phi) / (1 + phi)))
    if errors < LEAST_ERRORS or trend < RANK_TREND:
        return
    onset = _onset(losses, low_at, low, sigma)
    severity, told = _severity(run, onset, high - low, low, errors)
    yield Finding(
        f"The loss has crept up from a median of {figure(low)} near {run.place(int(losses.steps[low_at]))} to one of "
        f"{figure(high)} since {run.place(onset)}{told}.",
        onset,
        int(losses.steps[-1]),
        curve.metric,
        {"minimum": low, "end": high, "rise": high - low, "standard_errors": errors, "rank_trend": trend},
        (
            *advice.back_and_calmer(run, onset)[:2],
            "Evaluate the checkpoint of the minimum and the newest one on the same batches: equal losses mean that the "
            "data changed.",
        ),
        severity,
    )


def _onset(curve: Series, low_at: int, low: float, sigma: float) -> int:
    onset = cusum((curve.values[low_at:] - low) / max(sigma, 1e-12))
    return int(curve.steps[low_at + (onset or 0)])


def _severity(run: Run, onset: int, rise: float, low: float, errors: float) -> tuple[Severity, str]:
    """Return the severity, and the reservation or the confirmation that explains it."""
    lr = run.value_at("lr", onset)
    schedule = phases(run["lr"].steps, run["lr"].values) if "lr" in run else None
    if schedule is not None and lr is not None and lr < LOW_RATE * schedule.peak:
        return Severity.INFO, ", when the learning rate was below a fifth of its peak: probably the order of the data"
    strong = rise >= max(ALARM_NATS, ALARM_SHARE * low) and errors >= ALARM_ERRORS
    losses = run.evaluation[1].finite if run.evaluation else None
    after = losses.values[losses.steps > onset] if losses is not None else np.empty(0)
    if losses is None or len(after) < 3:
        return Severity.INFO, ""
    if float(after[-2:].min()) <= losses.values.min() * (1 + LEAST_SHARE):
        return Severity.INFO, ", while the evaluation stays at its best"
    if len(losses) >= KNOWN_NOISE and not _rises(losses.values):
        return Severity.INFO, ", while the evaluation does not rise by more than its noise"
    return (Severity.WARNING if strong else Severity.INFO), ", and the evaluation with it"


def _rises(evaluations: np.ndarray) -> bool:
    """Tell whether evaluations end surely above their lowest level, not above the luckiest of them."""
    moved = course(evaluations)
    return moved.end - moved.low >= max(LEAST_SHARE * abs(moved.low), SIGMAS * moved.error)
