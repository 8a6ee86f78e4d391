import numpy as np

from lmdiag.figures import figure
from lmdiag.finding import Curve, Finding, Findings, NotChecked, Severity, rule, too_few
from lmdiag.loss_law import unexplained
from lmdiag.run import Run, Series
from lmdiag.stats.change import Shift, jump_at, sharp_steps, step_beside_slope
from lmdiag.stats.limits import LONGEST, SMOOTHED
from lmdiag.stats.noise import scatter, smoothing
from lmdiag.stats.rebound import sustained_rise
from lmdiag.stats.schedule import observed
from lmdiag.stats.windows import median, quantile, rolling_median

POINTS, FEWEST = 200, 60  # records for a law, and for a fall to a part of the level
PART = 1.8  # a fall to 1 / 1.8 in one record: no law is fitted to what is before and behind it together
AT_ONCE, BESIDE = 0.8, 20  # share of that fall in one record; records on each side by which it is measured
SHARP, ABOUT = 3, 5  # records on each side of it that tell whether it came at once, and where
# Least and distance from a power of two, such as steps of accumulation and devices are; ratio of the noise, as a share of the level
DIVISOR, NEAR, ALIKE = 3.5, 0.03, 1.5
UNSURE, FARTHEST = 3.0, 0.1  # standard errors by which the divisor may be further from it
LEAST_NATS, LEAST_SHARE, LEAST_ERRORS = 0.1, 0.04, 8.0
# Of the run: a restart, a jump of the rate or, of a step down, an epoch's end this near explains the step
AT_EVENT = 0.02
LASTING, KEPT = 2, 0.25  # tenths of the records, and the part of a step that is still there
# Of the step, in shares: by so much the evaluations around it may differ; of their level, or times their fall before: by so much they may have fallen
UNMOVED, EVALUATION_FALL, AS_BEFORE = 0.1, 0.03, 1.5
SPIKE, SPIKE_SIGMAS, SPIKE_NEAR = 1.25, 6.0, 5  # of the new level; deviations above it; records
# Share of their level, standard errors, and of the run beside the step: what rose may come back later
EVALUATION_RISE, EVALUATION_ERRORS, SOON = 0.03, 3.0, 0.1


@rule(family="data", needs=("curve",), severity=Severity.INFO, min_points=FEWEST)
def check(run: Run, curve: Curve) -> Findings:
    """Loss changes its level from one record to the next and keeps the new one.

    ## What it looks for
    A sudden step, up or down, that nothing in the log explains: other data, another sequence length, another masking of the labels.

    ## How it decides
    What the law of the loss leaves over is split by binary segmentation. The largest step must have 0.1 nat, 4% of the level and eight standard errors, each
    side must hold a tenth of the records, and 60% of the step must show between the few records before and after it: a
    misfit of the law is smooth. The loss itself shows half of it there. A step up shows in the medians of a tenth of the records before and after it as well. A quarter of it or more is left in each median of half a
    tenth, for two tenths of the records or to the end. Steps at a restart or a jump of the learning rate, and steps down at an epoch's end, are explained, and silent. A warning when
    the loss stepped up and the evaluation rose with it by 3% and three standard errors, or where nothing is evaluated a spike (a quarter and six deviations above the new level, within five records of the step) came with it.

    A loss that falls to 1 / 1.8 of its level or less, four fifths of it at once (medians of three records), and stays there, is judged without the law. It is a warning, of another unit, where it
    falls to one over a power of two (within 3%, or three standard errors up to 10%), its noise with it (within half), and the evaluations on either side differ by less than a tenth of the step, and fell by
    no more than 3%, or half as much again as between the two before it; where there are none, it falls to a quarter or less, and the log tells the rate, of which a decay does the same. By another factor it is information, whatever the
    evaluations: other data for training moves none of the same set.

    ## Why it matters
    Losses before and after are not comparable, and whoever compares final losses does not know it.

    ## False alarms it avoids
    Smoothed logs, whose noise looks like steps; levels that are left again (`repeated-stretch`); decay of the learning rate, spikes, divergence (its own rule), the steep start (the first tenth), staircases of epochs.

    ## What to try
    Look at the data and the configuration of that step: mixture, sequence length, batch size, masking. Decode a batch from before and after.

    ## References
    - Scott & Knott 1974, A cluster analysis method for grouping means, Biometrics 30.
    """
    losses = curve.series.thinned(LONGEST)
    if len(losses) < FEWEST:
        yield too_few(len(losses), "finite values of the loss", FEWEST)
        return
    if (losses.values <= 0).any():
        yield NotChecked("the loss is not above 0 in every record")
        return
    if sustained_rise(losses.values):
        return
    margin = len(losses) // 10  # the steep start is left out too
    rest = losses.at(slice(margin, None))
    fallen = _part(losses, margin, len(curve.series) > LONGEST)
    if fallen is not None:
        if not _explained(run, int(losses.steps[fallen]), rest, up=False):
            yield _of_part(run, curve.metric, losses, fallen)
        return
    if len(losses) < POINTS:
        yield too_few(len(losses), "finite values of the loss", POINTS)
        return
    schedule = observed(run["lr"].steps, run["lr"].values) if "lr" in run else None
    left = unexplained(losses.steps, losses.values, schedule)[margin:]
    if smoothing(left) > SMOOTHED:
        yield NotChecked("the loss was averaged over many records before it was logged")
        return
    sharp = sharp_steps(left, LEAST_ERRORS)
    beside = [*sharp, None]
    found = [
        s
        for i, s in enumerate(sharp)
        if margin <= s.at <= len(left) - margin and not _undoes(beside[i + 1], s) and not _undoes(s, beside[i - 1])
    ]
    if not found:
        return
    shift = max(found, key=lambda s: abs(s.size))
    level = float(median(rest.values[max(0, shift.at - margin) : shift.at]))
    after = float(median(rest.values[shift.at : shift.at + margin]))
    step, size = int(rest.steps[shift.at]), shift.size * level
    if size < 0:  # no further down than the medians show
        size = max(size, after - level)
    else:  # nor up: a spike is no level
        size = min(
            size, float(median(left[shift.at : shift.at + margin]) - median(left[shift.at - margin : shift.at])) * level
        )
    if (
        size * shift.size <= 0
        or abs(size) < max(LEAST_NATS, LEAST_SHARE * level)
        or jump_at(rest.values, shift.at) * np.sign(size) < abs(size) / 2
        or not _lasts(left, shift, margin)
        or _explained(run, step, rest, up=size > 0)
    ):
        return
    yield _finding(run, curve.metric, rest, step, level, size, shift.errors)


def _lasts(left: np.ndarray, shift: Shift, margin: int) -> bool:
    """Tell whether what the law leaves over keeps a quarter of a step for two tenths of the records, or to the end: medians of half a tenth."""
    width = max(1, margin // 2)
    later = left[shift.at : shift.at + LASTING * margin]
    levels = median(later[: len(later) // width * width].reshape(-1, width))
    before = float(median(left[max(0, shift.at - margin) : shift.at]))
    return bool(((levels - before - KEPT * shift.size) * shift.size > 0).all())


def _part(losses: Series, margin: int, thinned: bool) -> int | None:
    """Return the row at which the loss falls to a part of its level at once, for good; of a thinned log one row may hold both levels."""
    logs = np.log(losses.values)
    levels = rolling_median(logs, ABOUT)
    about = margin + int(np.argmin((levels[ABOUT:] - levels[:-ABOUT])[margin - ABOUT : len(logs) - margin - ABOUT]))
    near = slice(max(about - ABOUT // 2, margin), about + ABOUT // 2 + 1)
    row = near.start + int(np.argmin(np.diff(logs[near.start - 1 : near.stop])))
    if row < BESIDE:
        return None
    fall = float(median(logs[row - BESIDE : row]) - median(logs[row + thinned : row + BESIDE]))
    if fall < np.log(PART) or float(quantile(logs[row:], 0.9)) >= float(median(logs[row - BESIDE : row])) - fall / 2:
        return None
    befores = (median(logs[end - SHARP : end]) for end in range(row - thinned, row + 1))
    afters = (median(logs[begin : begin + SHARP]) for begin in range(row, row + thinned + 1))
    return row if max(befores) - min(afters) >= AT_ONCE * fall else None


def _spiked(values: np.ndarray, row: int, level: float) -> bool:
    """Tell whether a spike stands at a step: what it did to the weights or to the state of the optimizer has stayed."""
    near = values[max(row - SPIKE_NEAR, 0) : row + SPIKE_NEAR]
    return bool(near.max() >= max(SPIKE * level, level + SPIKE_SIGMAS * scatter(values)))


def _of_part(run: Run, metric: str, losses: Series, row: int) -> Finding:
    before, after = losses.values[row - BESIDE : row], losses.values[row : row + BESIDE]
    level, left = float(median(before)), float(median(after))
    step, share = int(losses.steps[row]), 1 - left / level
    power = _power(losses.values, row)
    evaluated = _evaluations_beside(run, metric, step)
    stays = evaluated is not None and _stays(evaluated[1:], share)
    unit = power > 0 and (stays or (evaluated is None and power >= DIVISOR and "lr" in run))
    told = f", as if divided by about {power} from there on" if unit else ""
    if stays and evaluated:
        told += f"; {evaluated[0]} was {figure(evaluated[2])} before it and {figure(evaluated[3])} after it"
        told += "" if unit else ": another unit, or other data"
    return Finding(
        f"The loss steps down by {figure(level - left, 2)} nats ({(level - left) / level:.0%}) at {run.place(step)}, most of it in one record, and keeps its new level{told}.",
        step,
        int(losses.steps[-1]),
        metric,
        {"step_size": left - level, "level_before": level},
        (
            "Compute the loss of one batch by hand: is it averaged, or divided by accumulation steps or devices, in another way since then?"
            if unit
            else f"Look at what changed at {run.place(step)}: data mixture, sequence length, batch size, masking of labels.",
            f"Decode one batch from before that {run.unit} and one from after it.",
            "Do not compare losses from before it with those from after.",
        ),
        Severity.WARNING if unit else Severity.INFO,
    )


def _power(values: np.ndarray, row: int) -> int:
    """Return the power of two by which the level is divided at a row, its noise with it; 0 where it is none.

    The division is measured beside the slope that the tenths of a curve before and behind it share.
    """
    logs, width = np.log(values), min(len(values) // 10, row, len(values) - row)
    noises = scatter(logs[:row]), scatter(logs[row:])
    if max(noises) > ALIKE * min(noises):
        return 0
    fall, error = step_beside_slope(logs[row - width : row + width], width)
    power = round(-fall / float(np.log(2)))
    far = abs(-fall - power * float(np.log(2)))
    return 2**power if far <= max(NEAR, min(UNSURE * error * max(noises), FARTHEST)) else 0


def _evaluations_beside(run: Run, metric: str, step: int) -> tuple[str, float, float, float] | None:
    """Return the evaluated metric, its last two values before a step (one alone twice) and its first one behind it, None where one is missing."""
    if run.evaluation is None or metric != "loss":
        return None
    name, evaluations = run.evaluation[0], run.evaluation[1].finite
    before, after = evaluations.values[evaluations.steps < step][-2:], evaluations.values[evaluations.steps > step]
    return (name, float(before[0]), float(before[-1]), float(after[0])) if len(before) and len(after) else None


def _stays(evaluated: tuple[float, float, float], share: float) -> bool:
    """Tell whether an evaluation hardly moved from the second value to the third, by a step of the loss, and fell no faster than it had before."""
    earlier, before, after = evaluated
    fell = 1 - after / before
    return abs(fell) <= UNMOVED * share and fell <= max(EVALUATION_FALL, AS_BEFORE * (1 - before / earlier))


def _undoes(step: Shift | None, earlier: Shift | None) -> bool:
    """Tell whether a step takes half of an earlier one back: that level did not last."""
    return bool(step and earlier and step.size * np.sign(earlier.size) <= -0.5 * abs(earlier.size))


def _explained(run: Run, step: int, curve: Series, *, up: bool) -> bool:
    """Tell whether a restart or a jump of the learning rate stands near a step, or the end of an epoch near one down: text is better known then."""
    near = AT_EVENT * (run.last_step - run.first_step) + 1
    if any(abs(segment.first_step - step) <= near for segment in run.segments[1:]):
        return True
    if "epoch" in run and not up:
        epochs = run["epoch"].finite
        here = np.interp([step - near, step + near], epochs.steps, epochs.values) if len(epochs) else np.zeros(2)
        if np.floor(here[1]) > np.floor(here[0]) >= 0 and here[1] >= 1:
            return True
    if "lr" not in run:
        return False
    rates = run["lr"].finite.between(step - near, step + near).values
    return len(rates) > 1 and bool(np.abs(np.diff(rates)).max() > 0.1 * run["lr"].finite.values.max())


def _finding(run: Run, metric: str, curve: Series, step: int, level: float, size: float, errors: float) -> Finding:
    risen = metric == "loss" and size > 0 and _evaluation_rises(run, step)
    row = int(np.searchsorted(curve.steps, step))
    unseen = run.evaluation is None or metric != "loss"
    spiked = size > 0 and unseen and _spiked(curve.values, row, level + size)
    told = "; the evaluation rose with it" if risen else ", behind a spike" if spiked else ""
    return Finding(
        f"The loss steps {'up' if size > 0 else 'down'} by {figure(abs(size), 2)} nats ({abs(size) / level:.0%}) at "
        f"{run.place(step)} and keeps its new level{told}.",
        step,
        int(curve.steps[-1]),
        metric,
        {"step_size": size, "level_before": level, "standard_errors": errors},
        (
            f"Look at what changed at {run.place(step)}: data mixture, sequence length, batch size, masking of labels.",
            f"Decode one batch from before that {run.unit} and one from after it.",
            "Do not compare losses from before it with those from after.",
        ),
        Severity.WARNING if told else Severity.INFO,
    )


def _evaluation_rises(run: Run, step: int) -> bool:
    """Tell whether the evaluations soon behind a step stand above the last one before it, and beyond their noise and slope above those near it."""
    if run.evaluation is None:
        return False
    evaluations, reach = run.evaluation[1].finite, SOON * run.last_step
    row = int(np.searchsorted(evaluations.steps, step))
    before, after = evaluations.values[:row], evaluations.values[row:]
    if min(len(before), len(after)) < 2:
        return False
    before = before[-max(2, len(evaluations.between(step - reach, step - 1))) :]
    after = after[: max(2, len(evaluations.between(step, step + reach)))]
    if float(median(after)) <= float(before[-1]) * (1 + EVALUATION_RISE):
        return False
    rise, error = step_beside_slope(np.concatenate([before, after]), len(before))
    return rise > EVALUATION_ERRORS * error * scatter(evaluations.values)
