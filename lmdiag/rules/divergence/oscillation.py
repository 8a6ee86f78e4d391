import numpy as np

from lmdiag import advice
from lmdiag.evaluations import steady_beside
from lmdiag.figures import figure
from lmdiag.finding import Curve, Finding, Findings, Severity, rule, too_few
from lmdiag.run import Run
from lmdiag.stats.limits import LONGEST, SMOOTHED
from lmdiag.stats.noise import MEDIAN_ERROR, UNCERTAIN, scatter, smoothing
from lmdiag.stats.turning import falling_fit
from lmdiag.stats.windows import centred_median, median, quantile, rolling_median

EXCURSION = 0.6  # of the level above the running minimum: noise of 15% reaches 30% in a third of the records
# Swings are a warning where they are most of the scatter of the records: wander that lasts for a hundredth of a run, as the order of the
# data can, reaches 0.65. Of averages they must be 10% of the level, too.
WIDE, MOSTLY = 0.10, 0.7
ALIKE = 2.0  # standard errors of the correlation of neighbouring records: independent ones, such as sums over sentences, do not swing
# Or a fiftieth of them: their median shows where the swings begin, which a noisy record does not, unless it hides too many of the records
# that are half of the swings up
ONSET_RECORDS, SHOWN = 3, 0.5
# Blocks, and twice as many for short swings: of these noise that lasts for a hundredth of a run leaves 0.8 of the scatter, and a tenth of the level
BLOCKS, FINE_BLOCKS, FINE_MOSTLY = 20, 40, 0.8
FAR = 0.2  # of the level: further than averages of noise of 15% get
FALLS = 5.0  # a fall from the first to the last third of so many times the swings: bumps on the way down


@rule(family="divergence", needs=("curve",), severity=Severity.WARNING, min_points=10)
def check(run: Run, curve: Curve) -> Findings:
    """Loss swings up and down by a large part of its level.

    ## What it looks for
    A loss that neither falls nor stays away, but swings.

    ## How it decides
    Only huge amplitudes: (a) from 24 records, the 10 to 90% range of the second half, less its best falling fit, is at least 1.5 nats and half of the level (more of few records), and neighbouring records are
    correlated, by two standard errors; (b) with 10
    to 39 records, a fifth of them stand 1 nat and 60% above the running minimum, in three separate excursions; (c) from 40 records, the medians
    of twenty blocks scatter by 0.08 nat and 4%, 2.5 times what white noise gives, with five changes of sign, and the loss falls by less than five times that from its first to its last third: a warning where the
    swings are 70% of the scatter of the records, and 10% of the level where these are averages; or the same of forty blocks, which keep shorter swings: 80% of
    the scatter and 10% of the level, 20% where the records are averages.

    ## Why it matters
    The learning rate is at the edge of stability: most steps undo each other.

    ## False alarms it avoids
    Swings that six evaluations or more in the second half do not share: around their falling fit they scatter, for their level, by less than a fifth
    of what the loss does for its own, or of that level where the loss swings by more. Sums over batches of unequal size swing so. The noise of single batches, outliers, regular bands of a few percent, large bumps of a loss that falls on.

    ## What to try
    Halve the learning rate. If the swings keep their period, look for a cycle in the data or in the schedule.

    ## References
    - Cohen et al. 2021, Gradient descent on neural networks typically occurs at the edge of stability, arXiv:2103.00065.
    """
    thinned = curve.series.thinned(LONGEST)
    values = thinned.values
    if len(values) < 10:
        yield too_few(len(values), "finite values of the loss", 10)
        return
    amplitude, severity = _wide_second_half(values) or _excursions(values), Severity.WARNING
    if not amplitude:
        amplitude, severity = _swinging_blocks(values)
    level = max(abs(float(median(values[len(values) // 2 :]))), 1e-12)
    if not amplitude or steady_beside(run, curve.metric, curve.series.steps, amplitude / level):
        return
    step = int(thinned.steps[_onset(values, amplitude)])
    yield Finding(
        f"The loss swings by {figure(amplitude, 3)} around {figure(float(median(values[len(values) // 2 :])))}, the median "
        f"of its second half, from {run.place(step)} on.",
        step,
        int(curve.series.steps[-1]),
        curve.metric,
        {"amplitude": amplitude},
        (
            advice.lower_lr(run, step),
            advice.clip(run, step),
            "Compare the period of the swings with the order of the data and the schedule.",
        ),
        severity,
    )


def _onset(values: np.ndarray, amplitude: float) -> int:
    """Return the row from which the curve, as smooth as still shows its swings, is up by half of them."""
    rise = values - np.minimum.accumulate(values)
    least = 0.5 * min(amplitude, float(rise.max()))
    single = rise >= least
    widest = max(ONSET_RECORDS, len(values) // 50) | 1
    for width in (widest, ONSET_RECORDS):
        smooth = centred_median(values, width)
        up = smooth - np.minimum.accumulate(smooth) >= least
        if np.count_nonzero(up) >= SHOWN * np.count_nonzero(single):
            first = int(np.argmax(up))
            near = max(0, first - widest)  # a median is late by some of its records
            return near + int(np.argmax(single[near : first + 1] | up[near : first + 1]))
    return int(np.argmax(single))


def _wide_second_half(values: np.ndarray) -> float:
    n = len(values)
    if n < 24:
        return 0.0
    half = values[n // 2 :]
    least = (1 + UNCERTAIN / n) * max(1.5, 0.5 * abs(float(median(half))))  # more of few records
    if 2 * float(np.ptp(half)) < least:  # no record is further from the fit than all records span
        return 0.0
    # Records that stand close at first and far apart later fall in any shape; a spike would lift the fit of all before it
    flat = half - falling_fit(np.minimum(half, quantile(half, 0.9)))
    low, high = quantile(flat, 0.1), quantile(flat, 0.9)
    return high - low if high - low >= least and _hang_together(np.clip(flat, low, high)) else 0.0


def _hang_together(values: np.ndarray) -> bool:
    """Tell whether neighbours are more alike, or more unlike, than independent values are."""
    centred = values - values.mean()
    correlation = float(np.sum(centred[1:] * centred[:-1])) / max(float(np.sum(centred**2)), 1e-300)
    return abs(correlation) * np.sqrt(len(values)) >= ALIKE


def _excursions(values: np.ndarray) -> float:
    if len(values) >= 40:
        return 0.0
    floor = np.minimum.accumulate(centred_median(values, 3))
    out = values - floor >= np.maximum(1.0, EXCURSION * np.abs(floor))
    separate = int(np.sum(np.diff(out.astype(int)) == 1) + out[0])
    return float(median((values - floor)[out])) if out.mean() >= 0.2 and separate >= 3 else 0.0


def _swinging_blocks(values: np.ndarray) -> tuple[float, Severity]:
    """Return how far the medians of blocks scatter around the trend, 0 where that is noise, and how much it matters."""
    n = len(values)
    if n < 40:
        return 0.0, Severity.INFO
    trend = rolling_median(values, n // 3 | 1)
    half = (n // 3 | 1) // 2
    flat = values[half : half + len(trend)] - trend
    level, whole = abs(float(median(values))), max(_spread(flat), 1e-12)
    coarse, fine = (_of_blocks(values, flat, level, blocks) for blocks in (BLOCKS, FINE_BLOCKS))
    # Of averages, all that is left of the noise is slow
    alone = coarse >= WIDE * level or smoothing(values) <= SMOOTHED
    if coarse >= MOSTLY * whole and alone:
        return coarse, Severity.WARNING
    if fine >= FINE_MOSTLY * whole and (
        fine >= FAR * level or (fine >= WIDE * level and smoothing(values) <= SMOOTHED)
    ):
        return fine, Severity.WARNING
    return coarse, Severity.INFO


def _of_blocks(values: np.ndarray, flat: np.ndarray, level: float, blocks: int) -> float:
    """Return the spread of the medians of so many blocks, 0 where it is small, or noise, or a bump on the way down."""
    width = max(3, len(flat) // blocks)
    levels = median(flat[: len(flat) // width * width].reshape(-1, width))  # medians: spikes are no swings
    spread, third = _spread(levels), len(values) // 3
    white = MEDIAN_ERROR * scatter(values) / np.sqrt(width)
    few = int(np.sum(np.diff(np.sign(levels)) != 0)) < 5
    falls = float(median(values[:third]) - median(values[-third:])) >= FALLS * spread
    return 0.0 if few or falls or spread < max(0.08, 0.04 * level, 2.5 * white) else spread


def _spread(values: np.ndarray) -> float:
    """Return the standard deviation as the 10 to 90% range shows it: the end of a steep start is no swing."""
    return (quantile(values, 0.9) - quantile(values, 0.1)) / 2.56
