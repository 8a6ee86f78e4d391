import numpy as np

from lmdiag.beginning import holds_start
from lmdiag.figures import figure
from lmdiag.finding import (
    BEGINS_LATER,
    NOT_FROM_SCRATCH,
    NOT_TEXT,
    Curve,
    Finding,
    Findings,
    NotChecked,
    Severity,
    rule,
    too_few,
)
from lmdiag.run import Run, Series
from lmdiag.stats.limits import FROM_SCRATCH, NEAR_UNIFORM, SMOOTHED
from lmdiag.stats.noise import LEAST_FOR_SMOOTHING, scatter, smoothing
from lmdiag.stats.phases import covered
from lmdiag.stats.rebound import sustained_rise
from lmdiag.stats.schedule import observed
from lmdiag.stats.trend import largest_gain, mann_kendall, total_gain
from lmdiag.stats.windows import median, rolling_median

SURE = 2.0  # standard errors: several windows are tried
CREEPS, FALLS = 0.01, -5.0  # of the level per half of the run; z of the rank trend: in no noise of a flat curve
# Few noisy records leave twice the gain possible: their ranks must not fall then, by this z
NOISY, NO_FALL = 2.0, -1.5
NEAR_START = 0.6  # of the start: a level that any learning leaves, whatever the rate
# Of the records; of the steps that they cover, and of the learning rates there
SHARES, LEAST_SHARE = (0.70, 0.50, 0.35), 0.30
LATE = 0.25  # of the records, steps and learning rates: without a gain at first, it costs a quarter of the run
LARGEST_START = 12.5  # ln of the largest vocabularies; a worse start says nothing about the level to expect
LONGEST = 2000
FEW, SHORT_SPAN, LEAST_SPAN = 30, 100, 60  # records with one window; steps that it, or any other, must span


@rule(family="convergence", needs=("curve",), severity=Severity.WARNING, min_points=12)
def check(run: Run, curve: Curve, *, flat: float = 0.02, left: float = 0.88) -> Findings:
    """Loss stays flat at a high level for a third of the run or longer.

    ## What it looks for
    A run from scratch whose loss falls at first and then stays at half of its first value or above, at a learning rate
    that should still teach it.

    ## How it decides
    An equivalence test on windows of records, not the absence of significance:

    | of the window | asks for | why that much |
    |---|---|---|
    | width | 70, 50 or 35% of the records, 15 of them and 60 steps at least | shorter stands are part of many healthy runs |
    | the same, in fewer than 30 records | all after the third, over 100 steps; their ranks do not fall (Mann-Kendall z above -1.5) | the error of a gain over so few is itself uncertain |
    | flat | the gain (Theil-Sen on ten group medians, a rise counted as none) and two standard errors of it, not below those of the noise, are less than `flat` of the level per half of the run | three widths are tried, of which one is lucky |
    | the same, of 70% | less than twice that, where the ranks do not fall either, the level is above 60% of the start, and the log has sixty records and is not smoothed | the noise of few records leaves more possible |
    | high | at half of the start or above; below 8 nats it does not surely fall by 1% of the level per half of the run (ranks at z of -5, gain less two standard errors) | a task with a high floor is learned slowly; above 8 nats nothing but token frequencies is, however steadily |
    | rate | at 30% of its peak or above, or unknown, or the level is above 60% of the start | a decayed rate ends learning |
    | stays | the last tenth of the run is above `left` of the level | abrupt learning leaves it |
    | the same, left at last | a quarter of the records, of the steps and of the sum of the rates | so much of the run came before anything but token frequencies was learned |
    | covers | 30% of the steps, and of the sum of the rates where they are logged | where a log becomes denser, or the rate is nearly gone, many records are little of the run |

    The finding names all records around the middle of the window whose rolling median stays as near to its level.

    ## Why it matters
    At 7 to 8 nats the model has learned how often each token occurs and nothing of the context.

    ## False alarms it avoids
    Short plateaus that the run leaves (abrupt learning), harder text while the evaluation falls, the flat end of a decayed learning rate, fine-tuning, low levels
    that may be the best there is.

    ## What to try
    Check the attention mask, the positions and the label shift. Then a larger learning rate or shorter warm-up.

    ## References
    - Hoffmann et al. 2024, Eureka-moments in transformers, arXiv:2310.12956.
    """
    metric, losses = curve
    if len(losses) < 12:
        yield too_few(len(losses), "finite values of the loss", 12)
        return
    start = max(float(losses.values[0]), float(median(losses.values[: min(5, max(1, len(losses) // 10))])))
    why = _blind(run, losses, start)
    if why is not None:
        yield why
        return
    if sustained_rise(losses.values):
        return
    thinned = losses.thinned(LONGEST)
    found = _flat_stretch(run, thinned, start, flat, left, SHARES, LEAST_SHARE)
    found = found or _flat_stretch(run, thinned, start, flat, 0.0, (*SHARES, LATE), LATE)
    if found is None:
        return
    first, last, level, gain = found
    planned = max(run.last_step - run.first_step, 1)
    left_it = float(median(losses.values[-max(1, len(losses) // 10) :])) < left * level
    yield Finding(
        f"The loss is flat at {figure(level)} from {run.place(first)} to {run.place(last)} "
        f"({(last - first) / planned:.0%} of "
        f"the run), after {figure(float(losses.values[0]))} in its first record: it gained at most {figure(gain, 2)} nats"
        f"{', and falls only then' if left_it else ''}.",
        first,
        last,
        metric,
        {"level": level, "start": float(losses.values[0]), "largest_gain": gain},
        (
            f"Shorten it: what was learned from {run.place(last)} on came late. A larger learning rate or a shorter warm-up, a larger batch, "
            "easier or shorter text at first.",
            "Look at positions, initialisation and normalisation: they decide how soon a model uses its context.",
        )
        if left_it
        else (
            "Check the attention mask, the positions and the label shift: at this level the context is not used.",
            "Compare with the unigram entropy of the data (`lmdiag train ngram`): a loss equal to it knows token "
            "frequencies only.",
            "Then raise the learning rate, or shorten warm-up.",
        ),
    )


def _blind(run: Run, losses: Series, start: float) -> NotChecked | None:
    """Return why no stretch of this loss could count as a plateau, None where one could."""
    if run.objective not in ("causal-lm", "masked-lm"):
        return NOT_TEXT
    if not holds_start(run, losses):
        return BEGINS_LATER
    if start < FROM_SCRATCH:
        return NOT_FROM_SCRATCH
    n = len(losses)
    held, least = (n - 3, SHORT_SPAN) if n < FEW else (int(SHARES[0] * n), LEAST_SPAN)
    widest = int((losses.steps[held - 1 :] - losses.steps[: n - held + 1]).max())
    return (
        None if widest >= least else NotChecked(f"no stretch of the log that could be flat spans {least} {run.unit}s")
    )


def _flat_stretch(
    run: Run, curve: Series, start: float, flat: float, left: float, shares: tuple[float, ...], least_share: float
) -> tuple[int, int, float, float] | None:
    """Return (first step, last step, level, largest gain) of the longest flat stretch, of some shares, at the end of which `left` of its level is."""
    n, high = len(curve), 0.5 * min(start, LARGEST_START)
    end = float(median(curve.values[-max(1, n // 10) :]))
    if end < left * high:
        return None
    above = np.cumsum(np.append(0, curve.values >= high))
    if n < FEW:
        rest = curve.at(slice(3, n))
        long_enough = rest.steps[-1] - rest.steps[0] >= SHORT_SPAN
        windows = [(slice(3, n), 1.0)] if long_enough and mann_kendall(rest.values) > NO_FALL else []
    else:
        windows = [
            (slice(a, a + int(share * n)), share)
            for share in shares
            for a in range(max(1, n // 20), n - int(share * n) + 1, max(1, n // 20))
        ]
    for window, of_records in windows:
        if 2 * (above[window.stop] - above[window.start]) < window.stop - window.start:
            continue  # half of a window is as high as its median
        level = float(median(curve.values[window]))
        if level < high or end < left * level:
            continue
        stretch = curve.at(window)
        share = min(of_records, covered(stretch.steps, curve.steps), _learning_share(run, stretch, curve))
        if of_records < 1 and (
            share < least_share or len(stretch) < 15 or stretch.steps[-1] - stretch.steps[0] < LEAST_SPAN
        ):
            continue
        if level < NEAR_UNIFORM and _creeps(stretch.values, CREEPS * share / 0.5 * level):
            continue
        phi = smoothing(curve.values)
        gain = largest_gain(stretch.values, SURE, phi)
        least = flat * share / 0.5
        near = of_records > 0.5 and level >= NEAR_START * start and n >= LEAST_FOR_SMOOTHING and phi <= SMOOTHED
        if (
            _is_flat(stretch.values, gain, least * level, near)
            and _should_learn(run, stretch, level, start)
            and not _evaluation_falls(run, stretch, least)
        ):
            whole = _as_flat(curve, stretch, level, least * level / 2)
            if covered(whole.steps, curve.steps) < LEAST_SHARE:  # a bend of the curve, and no level
                continue
            level, gain = float(median(whole.values)), largest_gain(whole.values, SURE, phi)
            return int(whole.steps[0]), int(whole.steps[-1]), level, gain
    return None


def _is_flat(values: np.ndarray, gain: float, least: float, near_start: bool) -> bool:
    """Tell whether a stretch gains less than that, or near the start of the loss less than twice as much in ranks that do not fall."""
    return gain < least or (near_start and gain < NOISY * least and mann_kendall(values) > NO_FALL)


def _as_flat(curve: Series, window: Series, level: float, most: float) -> Series:
    """Return all that is as flat as the middle of a window: records before and behind it too, and none of the fall that it holds."""
    n, width = len(curve), max(3, len(window) // 20 | 1)
    levels = rolling_median(curve.values, width)
    most += SURE * scatter(window.values) * float(np.sqrt(np.pi / 2 / width))
    away = np.flatnonzero(np.abs(levels - level) > most) + width // 2
    middle = int(np.searchsorted(curve.steps, window.steps[len(window) // 2]))
    before, behind = away[away < middle], away[away > middle]
    first = int(before[-1]) + 1 if len(before) else 0
    stop = int(behind[0]) if len(behind) else n
    return curve.at(slice(first, stop))


def _learning_share(run: Run, stretch: Series, curve: Series) -> float:
    """Return what share of the learning of a run a stretch holds, by the learning rates that were logged; 1 where none were."""
    schedule = observed(run["lr"].steps, run["lr"].values) if "lr" in run else None
    if schedule is None:
        return 1.0
    begin, first, last, end = schedule.learning(
        np.array([curve.steps[0], stretch.steps[0], stretch.steps[-1], curve.steps[-1]])
    )
    return float((last - first) / (end - begin)) if end > begin else 1.0


def _creeps(values: np.ndarray, least: float) -> bool:
    """Tell whether values fall surely, however slowly, and by some least amount."""
    gain, error = total_gain(values, skip=0.0)
    return gain - SURE * error >= least and mann_kendall(values) <= FALLS


def _should_learn(run: Run, stretch: Series, level: float, start: float) -> bool:
    if "lr" not in run or level >= NEAR_START * start:
        return True
    rates = run["lr"].finite
    during = rates.between(int(stretch.steps[0]), int(stretch.steps[-1])).values
    return not len(during) or bool(median(during) >= 0.3 * rates.values.max())


def _evaluation_falls(run: Run, stretch: Series, least: float) -> bool:
    """Tell whether the evaluations fell by a share meanwhile: then the training text became harder, and the model better."""
    if run.evaluation is None:
        return False
    during = run.evaluation[1].finite.between(int(stretch.steps[0]), int(stretch.steps[-1])).values
    few = max(1, len(during) // 4)
    return len(during) >= 2 and float(median(during[-few:])) <= (1 - least) * float(median(during[:few]))
