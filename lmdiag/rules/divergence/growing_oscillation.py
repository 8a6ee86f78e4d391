import numpy as np
from msgspec import Struct

from lmdiag import advice
from lmdiag.evaluations import steady_beside
from lmdiag.figures import figure, times
from lmdiag.finding import Curve, Finding, Findings, NotChecked, Severity, rule, too_few
from lmdiag.passes import keeps_time
from lmdiag.run import Run, Series
from lmdiag.stats.noise import MAD_TO_SIGMA, MEDIAN_ERROR, scatter, smoothing
from lmdiag.stats.turning import falling_fit, variance_of_few
from lmdiag.stats.windows import block_medians, centred_median, median, quantile, rolling_median

POINTS = 80  # of swings
IN_EACH = 4  # records at least, but for regular swings
BLOCKS = (240, 120, 60)  # the fewer, the longer must a swing be, and the less noise is left in a block
REVERSALS = 6
# Of the last third, each of which swings by so much of the range: what one spike leaves does not
PARTS, LASTS = 3, 0.25
TEN_TO_NINETY = 2.56  # standard deviations between the 10% and the 90% quantile of a normal distribution
# Distances of crossings, and their standard deviation over their mean: those of noise have 0.7 and more
REGULAR_FROM, REGULAR = 6, 0.4
HALF = 80  # records that tell how a log was smoothed
BEGUN = 0.25  # of the range at the end: a swing this far from the trend
# Records; error of the logarithm of a scatter, times the root of their number, and by how many it must grow; blocks, of which the last few all are restless
RECORDS, SCATTER_ERROR, SURE_ERRORS, PIECES, IN_A_PIECE, LASTING = 40, 0.85, 2.5, 12, 10, 3
EARLY = 20  # records at least near the start
NEIGHBOURS, CUT_OFF, ON_A_SIDE = 15, 3.0, 7
SURELY = 1.9  # times: sound runs whose batches come to differ more reach 1.8
GROWTH, ALARM_GROWTH = 1.6, 2.0
MANIFOLD, EVALUATED = 4.0, 6  # times: batches that differ so much are told of; evaluations before and behind
RANGE_ERROR = 0.85  # standard error of the 10 to 90% range of n normal values, over the range and times the root of n
LEAST_NATS, LEAST_SHARE, LEAST_ERRORS, ALARM_SHARE = 0.1, 0.03, 3.0, 0.06


class Swings(Struct, frozen=True):
    """Swings of the last third of a curve: the row where they begin and that where this third does, their level, their range there and in the
    first third, how often they cross the trend, and by what factor they may have grown by luck."""

    first: int
    late: int
    level: float
    amplitude: float
    before: float
    crossings: int
    luck: float


@rule(family="divergence", needs=("curve",), severity=Severity.INFO, min_points=RECORDS)
def check(run: Run, curve: Curve) -> Findings:
    """Loss swings up and down, and the swings become wider.

    ## What it looks for
    A loss around whose trend there are swings of many records, wider at the end of the run than after its start.

    ## How it decides
    The curve in 240 blocks of four records or more, or of fewer, or in 120 or 60, if the swings are regular (the distances between crossings of the trend scatter by less than 0.4 of their mean), without the first tenth and less the best fit that only falls, or a running median of a fifth of them if that leaves less at the end: the swings (10 to 90% range) of the last
    third are at least 1.6 times those of the first third, 0.1 nat, 3% of the level, and three times what noise leaves in a block, as the first half of the log was smoothed, or as fourth differences show beside regular swings; they
    cross the trend six times or more, and go on: each third of that stretch swings by a quarter of that range. They begin where the curve is
    a quarter of that range away from its trend. A warning when the swings have doubled and reach 6%; those of irregular
    ones have by a standard error more, for which each crossing of the trend counts as a swing of its own.

    Or, from 40 records on, single records: their scatter (around the median of 15, outliers cut off) in the last third is twice that of the second and third tenth, 20 at least (1.9 times by 2.5 standard errors, for sound runs reach 1.8; there also around the middle of the seven
    before and the seven behind, which a steep fall leaves as it is; nothing is said where that is the rounding of the log), by a larger factor where the level has risen, by as much as it has,
    2.3% of the level (6% from the 10 to the 90% quantile, where 0.1 nat must be reached too), and above the geometric mean of both in each of the last four twelfths (of fewer than 120 records, of fewer parts): a warning. Six evaluations or more in the second half that do not share it speak for the batches, as in
    `oscillation`, unless their own scatter has grown as surely: then it is information, where it has grown fourfold.

    ## Why it matters
    The learning rate is at the edge of stability and the edge is coming closer; divergence may follow.

    ## False alarms it avoids
    One spike that comes back; noise that grows as batches differ (independent noise averages out in a block), cycles of the learning rate, staircases of epochs (few
    crossings), swings in step with the passes over the data (six tenths of their variance are the same in every pass), as of a running mean that begins
    again with each, a constant band.

    ## What to try
    Halve the learning rate, or start its decay. Compare the period of the swings with that of the data order: equal periods mean the data.

    ## References
    - Cohen et al. 2021, Gradient descent on neural networks typically occurs at the edge of stability, arXiv:2103.00065.
    """
    metric, losses = curve
    if len(losses) < RECORDS:
        yield too_few(len(losses), "finite values of the loss", RECORDS)
        return
    if _cyclic(run):
        yield NotChecked("the learning rate rises again after its peak, and the loss swings with it")
        return
    usual = min(BLOCKS[0], len(losses) // IN_EACH)
    more = BLOCKS if usual < BLOCKS[0] else ()  # of a long log the blocks are short for its swings
    looks = (_swings(losses.values, blocks, regular=place > 0) for place, blocks in enumerate((usual, *more)))
    found = next(filter(None, looks), None) if len(losses) >= POINTS else None
    if found is None:
        yield from _restless(run, metric, losses)
        return
    late = losses.at(slice(found.late, None))
    if keeps_time(run, late.steps, late.values - falling_fit(late.values)):
        yield NotChecked(
            "the loss swings in step with the passes over the data: a mean that begins again with each, or its text is met again"
        )
        return
    step = int(losses.steps[found.first])
    period = 2 * (losses.steps[-1] - losses.steps[found.late]) / found.crossings
    first, last, level = found.before, found.amplitude, found.level
    doubled = last >= ALARM_GROWTH * found.luck * first
    yield Finding(
        f"The loss swings by {figure(last, 3)} around {figure(level)} in the last third of the run, "
        f"{times(last / max(first, 1e-12))} times as much as in the first, with a period of about {period:,.0f} "
        f"{run.unit}s.",
        step,
        int(losses.steps[-1]),
        metric,
        {
            "level": level,
            "amplitude": last,
            "amplitude_before": first,
            "crossings": found.crossings,
            "period": float(period),
        },
        (
            advice.lower_lr(run, step),
            advice.clip(run, step),
            f"Look for something in the data or the schedule that repeats every {period:,.0f} {run.unit}s.",
        ),
        Severity.WARNING if doubled and last >= ALARM_SHARE * level else Severity.INFO,
    )


def _restless(run: Run, metric: str, losses: Series) -> Findings:
    """Tell of a loss that scatters more and more from record to record, where its evaluations do as well."""
    values = losses.values
    n = len(values)
    early, late = values[n // 10 : n // 10 + max(EARLY, n // 5)], values[-(n // 3) :]
    last, level = _single(late), abs(float(median(late)))
    if last * TEN_TO_NINETY < max(LEAST_NATS, ALARM_SHARE * level):
        return
    before = max(_single(early), _beside_a_slope(early))
    if before <= losses.rounding or level == 0:
        return
    error = SCATTER_ERROR * float(np.sqrt(1 / len(early) + 1 / len(late)))
    growth, risen = last / before, max(1.0, level / max(abs(float(median(early))), 1e-12))
    if growth < SURELY * np.exp(SURE_ERRORS * error) * risen:
        return
    around, start = values - centred_median(values, NEIGHBOURS), n // 10
    pieces = min(PIECES, (n - start) // IN_A_PIECE)
    blocks = np.array([_deviation(part) for part in np.array_split(around[start:], pieces)])
    quiet = np.flatnonzero(blocks < np.sqrt(before * last))
    if len(quiet) and quiet[-1] >= pieces - pieces // LASTING:
        return
    first = start + (n - start) * (int(quiet[-1]) + 1 if len(quiet) else 0) // pieces
    step = int(losses.steps[first])
    calm = steady_beside(run, metric, losses.steps, TEN_TO_NINETY * last / level) and not _evaluations_grew(run, step)
    if calm and growth < MANIFOLD:
        return
    told = "; the evaluations scatter far less, so that it is the batches that came to differ" if calm else ""
    batches = f"Look at what changed at about {run.place(step)}: smaller batches, other data, a sum where a mean was."
    lower = (advice.lower_lr(run, step), advice.clip(run, step))
    yield Finding(
        f"The loss scatters from record to record by {figure(last, 3)} around {figure(float(median(late)))} in the last third of the run, "
        f"{times(growth)} times as much as near its start, mostly since {run.place(step)}{told}.",
        step,
        int(losses.steps[-1]),
        metric,
        {"level": float(median(late)), "noise": last, "noise_before": before, "growth": growth},
        (batches,) if calm else (*lower, batches),
        Severity.INFO if calm else Severity.WARNING,
    )


def _evaluations_grew(run: Run, step: int) -> bool:
    """Tell whether the evaluations behind a step scatter surely more than those before it, as the training loss does."""
    evaluations = run.evaluation_loss[1].finite if run.evaluation_loss is not None else None
    if evaluations is None or evaluations.values.min() <= 0:
        return False
    logs = np.log(evaluations.values)
    before, after = logs[evaluations.steps < step], logs[evaluations.steps >= step]
    if min(len(before), len(after)) < EVALUATED:
        return False
    sigmas = [float(np.sqrt(variance_of_few(part, 0.0, 0.0, averaged=True))) for part in (before, after)]
    error = SCATTER_ERROR * float(np.sqrt(1 / len(before) + 1 / len(after)))
    return sigmas[1] >= SURELY * float(np.exp(SURE_ERRORS * error)) * sigmas[0]


def _single(values: np.ndarray) -> float:
    """Return the standard deviation of one record around the median of its neighbours, outliers cut off at three of them."""
    return _deviation(values - centred_median(values, NEIGHBOURS))


def _beside_a_slope(values: np.ndarray) -> float:
    """Return the standard deviation of one record around the middle of the medians of seven before and seven behind it.

    The median of neighbours on both sides of a record of a steep fall is that record, however much it scatters.
    """
    medians = rolling_median(values, ON_A_SIDE)
    return _deviation(values[ON_A_SIDE:-ON_A_SIDE] - 0.5 * (medians[: -ON_A_SIDE - 1] + medians[ON_A_SIDE + 1 :]))


def _deviation(around: np.ndarray) -> float:
    most = CUT_OFF * MAD_TO_SIGMA * float(median(np.abs(around)))
    return float(np.sqrt(np.mean(np.clip(around, -most, most) ** 2)))


def _swings(values: np.ndarray, blocks: int, *, regular: bool) -> Swings | None:
    """Return the swings, or only `regular` ones, that medians of blocks of a curve show; None where they do not grow, or noise may be the reason."""
    levels, starts = block_medians(values, blocks)
    levels, starts = levels[len(levels) // 10 :], starts[len(levels) // 10 :]
    around = levels - centred_median(levels, len(levels) // 5 | 1)
    third = len(around) // 3
    level = abs(float(median(levels[-third:])))
    crossed = np.flatnonzero(np.diff(np.sign(around[-third:])) != 0)
    least, last = max(LEAST_NATS, LEAST_SHARE * level), _range(around[-third:])
    if last < least or not REVERSALS <= len(crossed) <= third // 2 or (regular and not _is_regular(crossed)):
        return None
    swings = levels - falling_fit(levels)
    first, last = _range(swings[:third]), min(last, _range(swings[-third:]))
    if last < max(least, GROWTH * first):
        return None
    if min(_range(part) for part in np.array_split(swings[-third:], PARTS)) < LASTS * last:
        return None
    tail = values[starts[-third] :]
    width, keeps_time = max(1, len(tail) // third), _is_regular(crossed)
    sigma, phi = (_sharp_scatter(tail), 0.0) if keeps_time else (scatter(tail), _smoothing_before(values))
    noise = _noise_of_a_block(sigma, phi, width)
    if last < LEAST_ERRORS * noise:
        return None
    begun = third + int(np.argmax(np.abs(around[third:]) >= max(BEGUN * last, noise)))
    luck = 1.0 if keeps_time else _luck(around[:third], around[-third:])
    return Swings(
        int(starts[min(begun, len(starts) - third)]), int(starts[-third]), level, last, first, len(crossed), luck
    )


def _luck(early: np.ndarray, late: np.ndarray) -> float:
    """Return by what factor the range of a stretch is larger than that of another by a standard error, 1 of swings that keep time.

    Each swing counts as a value of its own: from beyond an eighth of the range on one side to beyond it on the other.
    """
    turns = [_turns(part) for part in (early, late)]
    if _is_regular(turns[1]):
        return 1.0
    return float(np.exp(RANGE_ERROR * np.sqrt(sum(1 / max(len(rows), 1) for rows in turns))))


def _turns(around: np.ndarray) -> np.ndarray:
    """Return the rows at which a curve has come from one side to the other, by more than an eighth of its range."""
    far = np.flatnonzero(np.abs(around) > _range(around) / 8)
    return far[1:][np.diff(np.sign(around[far])) != 0]


def _is_regular(crossed: np.ndarray) -> bool:
    """Tell whether a curve crosses its trend at regular distances: those of noise, however smoothed, scatter by their mean."""
    apart = np.diff(crossed)
    return len(apart) >= REGULAR_FROM and float(apart.std()) < REGULAR * float(apart.mean())


def _smoothing_before(values: np.ndarray) -> float:
    """Return how strongly a log was smoothed, as its first half shows, two standard errors up: swings look like smoothing."""
    half = values[: len(values) // 2]
    return (
        min(smoothing(values), smoothing(half) + 4 / float(np.sqrt(len(half))))
        if len(half) >= HALF
        else smoothing(values)
    )


def _sharp_scatter(values: np.ndarray) -> float:
    """Return the standard deviation of one point from fourth differences, which leave a thirtieth of swings of eight records."""
    return MAD_TO_SIGMA * float(median(np.abs(np.diff(values, 4)))) / float(np.sqrt(70))


def _noise_of_a_block(sigma: float, phi: float, width: int) -> float:
    """Return the range that noise alone gives the medians of so many neighbouring records, of a log that was smoothed by `phi`.

    Averaged noise of a standard deviation s scatters from record to record by s sqrt(1 - phi) only, and does not average out over fewer
    records than it was averaged over (first-order autoregression).
    """
    averaged_out = MEDIAN_ERROR * np.sqrt((1 + phi) / (1 - phi) / width)
    return float(TEN_TO_NINETY * sigma / np.sqrt(1 - phi) * min(averaged_out, 1.0))


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
