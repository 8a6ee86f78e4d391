import numpy as np

from lmdiag import advice
from lmdiag.figures import figure
from lmdiag.finding import Curve, Finding, Findings, NotChecked, Severity, rule
from lmdiag.run import Run, Series
from lmdiag.stats.limits import LONGEST, NEAR_UNIFORM
from lmdiag.stats.noise import MEDIAN_ERROR
from lmdiag.stats.phases import Phases, holds_start, phases
from lmdiag.stats.progress import Progress, progress
from lmdiag.stats.windows import distinct, median, quantile

SURE = 1.64  # one-sided 5%
EARLY_FALL, EARLIEST = 2.5, 3  # standard errors of the first records, so many at least, above the rest
HIDDEN = 0.20  # of the level: where the noise could hide such a fall, a missing trend says nothing
UNIFORM_END, UNIFORM_START, UNIFORM_SPREAD = 8.5, 16.0, 1.35
UNIGRAM = 8.0  # above the unigram entropy of a 50k vocabulary, 7.3 to 7.7 nats
ERROR_RECORDS = 50
AT_ONCE, AT_ONCE_SIGMAS = 0.08, 3.0  # a first record this far above the end: the learning was over before the second
REPEATED, REPEATED_SHARE = 6, 0.3  # records that come again, to the last digit
CHANCE_RECORDS, CHANCE_LOSS, CHANCE_ACCURACY, MOST_CLASSES = 15, 0.02, 0.06, 50
CHANCE_AUC, COIN = 0.01, 0.005  # distance of the area under the curve from 1/2; of a loss from ln 2, as a share
SMALL_PEAK = 1e-5  # below the learning rates in use for fine-tuning
WARMING_RECORDS = 30
LEAST_RECORDS = 10
CLEAR_TREND, CLEAR_FALL = -3.0, 0.05  # a fall that chance makes once in 700 runs, and of this share of the start
EARLY_SHARE, EARLY = 0.05, "early"  # of the planned steps
KNOWS = 2.0  # nats per token; guessing by frequency costs more in every vocabulary: 2.9 for the letters of English
SCALED = 1.8  # a training loss so many times the evaluation is no mean in nats per token: `wrong-loss-scale`
AT_UNIFORM_GUESS = "about what a uniform guess over a large vocabulary costs"
ROSE, RISE = "rose", 0.1  # by this share of its start: such a loss did more than not fall


@rule(family="convergence", needs=("curve",), severity=Severity.WARNING, min_points=10)
def check(run: Run, curve: Curve) -> Findings:
    """Loss does not fall.

    ## What it looks for
    A run that learns nothing, or next to nothing, from its first record to its last.

    ## How it decides
    Six tests on level and fall; the message says which one the run failed.

    - *At the uniform guess*: the loss stays between 8 and 16 nats, varies by less than 35% (10 to 90% range) and fell
      by less than 3% from the first to the last third. By less than 10% where it stands above 9 nats and the learning
      rate is known, or above 10 nats and the ranks do not fall (Mann-Kendall z above -3); by less than 20% above 10
      nats with a known rate. A log that ends in warm-up must stand above 10.3 nats, the guess over 30,000
      tokens, and have fallen by less than 5%. It is an error from 50 records on.
    - *No trend*: the log holds the start, and neither its ranks (z above -2) nor its level show a fall, and the noise
      is too small to hide one of 20%. Below 20 records (12 where the learning rate is known) ranks are too coarse for
      that: there z must be above -1, and no measure of the fall reach 5%. A run from scratch shows a fall in its ranks
      within 30 records, even at 20% noise; a fine-tune may have learned all it can by its second record. So a first
      loss 8% and three deviations above the end counts as a fall, and so do first records 8% and 2.5 standard errors
      above the rest.
    - *Trivial gain*: the log holds the start, without such a first loss, and the gain is surely under 1% of the level
      (2% above 6 nats).
    - *Still above the unigram entropy*: after 1,000 steps and 20 records the loss is between 8 and 16 nats and fell by
      less than 15%. The unigram entropy of text over 50,000 tokens is 7.3 to 7.7 nats.
    - *Repeated*: the losses from some record to the end of the log, six or more and 30% of it, are exactly the first
      ones: the weights did not change in between.
    - *At chance*: over 15 records or more the loss stays within 2% of ln k and the accuracy within 6% of 1/k; or within
      2% of ln 2 and the area under the ROC curve within 0.01 of 1/2; or for half of the run training and evaluation
      both stay within 0.5% of ln 2.

    ## Why it matters
    The weights do not change, the labels do not fit the inputs, or the learning rate is off by orders of magnitude.
    More steps will not help.

    ## False alarms it avoids
    Logs that start in the middle of a run, the first 5% of a planned run, ten noisy records without trend, logs of
    fewer than 30 records that end in warm-up. Unless such a log falls clearly (a rank trend of 3 standard deviations,
    and 5% of the first loss) or lies below 2 nats per token, where no guessing by frequency comes, the rule says that
    it could not look, and the run is not called healthy.

    ## What to try
    Overfit one batch: if its loss does not reach zero, the loop is broken (frozen weights, zero learning rate, labels
    shifted twice, optimizer without the model's parameters). If it does, try learning rates a factor of ten apart.

    ## References
    - Karpathy 2019, A recipe for training neural networks: overfit one batch; loss at init is ln V.
    """
    metric, losses = curve
    if len(losses) < LEAST_RECORDS:
        yield NotChecked(f"the log has {len(losses)} finite values of loss; this rule needs {LEAST_RECORDS}")
        return
    schedule = phases(run["lr"].steps, run["lr"].values) if "lr" in run else None
    seen = progress(losses.values)
    at_once = _learned_at_once(losses.values, seen)
    hidden = "" if at_once or _clearly_learns(seen, _in_nats(run)) else _hidden(run, losses, schedule)
    if hidden == EARLY:
        yield NotChecked(f"only {run.planned_share or 0:.1%} of the planned steps are done")
        return
    begins = holds_start(losses.steps) and not at_once
    flat = begins and _no_trend(seen, schedule is not None) and not _fell_early(losses.values, seen)
    span, unit = float(losses.steps[-1] - losses.steps[0]), f"{run.unit}s"
    why = _why(seen, schedule, begins, flat, span, unit, _in_nats(run))
    why = why or _repeats(losses.values) or _at_chance(run, seen) or _tossing_a_coin(run, seen)
    if not why:
        if hidden:
            yield NotChecked(hidden)
        return
    name, start, end = "The loss" if metric == "loss" else metric, figure(seen.start), figure(seen.end)
    yield Finding(
        f"{name} is {end} at the end, above the {start} at the start ({seen.records:,} records)."
        if why == ROSE
        else f"{name} does not fall: {start} at the start, {end} at the end, {why}.",
        int(losses.steps[0]),
        int(losses.steps[-1]),
        metric,
        {
            "start": seen.start,
            "end": seen.end,
            "fall": seen.fall,
            "rank_trend": seen.rank_trend,
            "records": seen.records,
        },
        _advice(run, schedule),
        Severity.ERROR if why == AT_UNIFORM_GUESS and seen.records >= ERROR_RECORDS else Severity.WARNING,
    )


def _clearly_learns(seen: Progress, in_nats: bool) -> bool:
    """Tell whether the loss falls so clearly, or is so low, that nothing about the log can hide a run that learned
    nothing."""
    falls = seen.rank_trend <= CLEAR_TREND and seen.start - seen.end >= CLEAR_FALL * abs(seen.start)
    return falls or (in_nats and 0 < seen.end < KNOWS)


def _hidden(run: Run, losses: Series, schedule: Phases | None) -> str:
    """Return why a run that does not learn could look as this one does, "" where it could not."""
    share = run.planned_share
    if share is not None and share < EARLY_SHARE:
        return EARLY
    if schedule is not None and schedule.still_warming and len(losses) < WARMING_RECORDS:
        return "the learning rate is still warming up"
    return "" if holds_start(losses.steps) else "the log begins in the middle of the run"


def _learned_at_once(values: np.ndarray, seen: Progress) -> bool:
    return bool(values[0] - seen.end >= max(AT_ONCE * abs(float(values[0])), AT_ONCE_SIGMAS * seen.sigma))


def _repeats(values: np.ndarray) -> str:
    """Say after how many records the same losses come again, to the last digit, several in a row; "" where they do
    not."""
    n = len(values)
    if n > LONGEST or len(distinct(values)) < REPEATED:
        return ""
    for lag in np.flatnonzero(values[REPEATED:] == values[0]) + REPEATED:
        again = values[lag:]
        enough = len(again) >= max(REPEATED, REPEATED_SHARE * n) and len(distinct(again)) >= REPEATED
        if enough and np.array_equal(again, values[:-lag]):
            return (
                f"and from record {lag + 1} on the first losses come again, digit for digit: the weights do not change"
            )
    return ""


def _at_chance(run: Run, seen: Progress) -> str:
    """Say of how many classes a classifier guesses one, by its loss and by its accuracy; "" where either knows more."""
    scores = run.series.get("accuracy", run.series.get("val/accuracy"))
    if scores is None or seen.records < CHANCE_RECORDS or not len(scores.finite):
        return ""
    accuracy = float(median(scores.finite.values))
    classes = round(1 / accuracy) if accuracy > 1 / MOST_CLASSES else 0
    if classes < 2 or abs(accuracy * classes - 1) > CHANCE_ACCURACY:
        return ""
    uniform = float(np.log(classes))
    flat = max(abs(seen.start - uniform), abs(seen.end - uniform)) <= CHANCE_LOSS * uniform
    return (
        f"the loss of guessing among {classes} classes, and an accuracy of {accuracy:.3g} says the same" if flat else ""
    )


def _tossing_a_coin(run: Run, seen: Progress) -> str:
    """Say that both answers of a classifier are equally likely to it, by its ROC curve or by training and evaluation
    together; "" otherwise."""
    uniform = float(np.log(2))
    if seen.records < CHANCE_RECORDS:
        return ""
    area = run.series.get("auc", run.series.get("val/auc"))
    flat = max(abs(seen.start - uniform), abs(seen.end - uniform)) <= CHANCE_LOSS * uniform
    if flat and area is not None and len(area.finite) and abs(median(area.finite.values) - 0.5) <= CHANCE_AUC:
        return f"ln 2, and the area under the ROC curve, {median(area.finite.values):.3g}, is that of tossing a coin"
    both = [run.curve, run.evaluation]
    if all(one is not None and _stays_at(one[1].finite.values, uniform) for one in both):
        return "nor does the evaluation: both stay at ln 2, the loss of tossing a coin"
    return ""


def _stays_at(values: np.ndarray, level: float) -> bool:
    late = values[len(values) // 2 :]
    off = (
        max(abs(quantile(late, 0.1) - level), abs(quantile(late, 0.9) - level))
        if len(late) >= CHANCE_RECORDS // 2
        else level
    )
    return off <= COIN * level


def _in_nats(run: Run) -> bool:
    """Tell whether the loss is that of a token: of a language model, and not a multiple of its evaluation."""
    if run.objective not in ("causal-lm", "masked-lm"):
        return False
    evaluated = run.evaluation_loss[1].finite.values if run.evaluation_loss else np.empty(0)
    trained = run["loss"].finite.values if "loss" in run else np.empty(0)
    return not (len(evaluated) and len(trained)) or float(evaluated[-1]) * SCALED > float(median(trained[-5:]))


def _fell_early(values: np.ndarray, seen: Progress) -> bool:
    """Tell whether some first records lie above the rest by more than chance: what fell at once has no rank trend."""
    n = len(values)
    for k in distinct(np.geomspace(EARLIEST, max(EARLIEST, n // 2), 8).astype(int)).tolist():
        error = MEDIAN_ERROR * seen.sigma * (1 / k + 1 / max(n - k, 1)) ** 0.5
        fell = float(median(values[:k]) - median(values[k:])) if n > 2 * k else 0.0
        if fell >= max(EARLY_FALL * error, AT_ONCE * abs(seen.end)) and fell > 0:
            return True
    return False


def _why(
    seen: Progress, schedule: Phases | None, has_start: bool, flat: bool, span: float, unit: str, in_nats: bool
) -> str:
    warming = schedule is not None and schedule.still_warming
    if warming and seen.records < WARMING_RECORDS:
        return ""
    if in_nats and _at_uniform_guess(seen, schedule, warming):
        return AT_UNIFORM_GUESS
    if flat or (has_start and _trivial_gain(seen)):
        if seen.end - seen.start >= RISE * abs(seen.start):
            return ROSE
        if flat:
            return f"without a downward trend in {seen.records:,} records"
        gain = f"a gain of {seen.gain / abs(seen.end or 1):.2%}" if seen.gain > 0 else "no gain"
        return f"{gain} in {seen.records:,} records"
    if (
        in_nats
        and seen.records >= 20
        and span >= 1000
        and min(seen.end, seen.low) >= UNIGRAM
        and seen.end <= UNIFORM_START
        and seen.fall < 0.15 * seen.end
    ):
        return f"still above 8 nats after {span:,.0f} {unit}, more than guessing by token frequency costs"
    return ""


def _at_uniform_guess(seen: Progress, schedule: Phases | None, warming: bool) -> bool:
    if seen.low < NEAR_UNIFORM or seen.end < UNIFORM_END or seen.start > UNIFORM_START:
        return False
    if seen.high / seen.low >= UNIFORM_SPREAD:
        return False
    if warming:
        return seen.low >= 10.3 and seen.fall < 0.05 * seen.end
    warm = schedule is not None
    limit = 0.03
    if (seen.low >= 10 and seen.rank_trend > -3) or (warm and seen.low >= 9):
        limit = 0.10
    if warm and seen.low >= 10:
        limit = 0.20
    return seen.fall < limit * seen.end


def _no_trend(seen: Progress, lr_known: bool) -> bool:
    level = abs(seen.start)
    if seen.records < (12 if lr_known else 20):
        return seen.rank_trend > -1 and max(seen.start - seen.end, seen.gain, seen.best_fall) < 0.05 * level
    return (
        seen.rank_trend > -2
        and seen.start - seen.end < max(0.10 * level, 2 * seen.sigma)
        and seen.gain < max(0.08 * level, SURE * seen.gain_error)
        and seen.best_fall < 0.15 * level + 1.5 * seen.sigma
        and seen.fall + SURE * MEDIAN_ERROR * seen.sigma * (6 / seen.records) ** 0.5 < HIDDEN * level
    )


def _trivial_gain(seen: Progress) -> bool:
    limit = (0.02 if seen.end >= 6 else 0.01) * abs(seen.end)
    return seen.start - seen.end + SURE * seen.end_error < limit and seen.gain + SURE * seen.gain_error < limit


def _advice(run: Run, schedule: Phases | None) -> tuple[str, ...]:
    steps = ["Overfit one batch: if its loss does not go to zero, the loop is broken, not the settings."]
    if schedule is None and "lr" in run and len(run["lr"].finite):
        steps.insert(0, "The learning rate is zero in every record: set it.")
    elif "grad_norm" in run and 0 <= run["grad_norm"].finite.values.max(initial=-1) < 1e-6:
        steps.insert(
            0, "The gradient norm is as good as zero: the weights are frozen, or the loss does not depend on them."
        )
    elif schedule is not None:
        larger = "ten times larger" if schedule.peak < SMALL_PEAK else "a factor of ten apart, both ways"
        steps.append(f"Then try learning rates {larger}; the peak was {figure(schedule.peak, 2)}.")
    saved = run.config.get("model")
    vocabulary = saved.get("vocab_size") if isinstance(saved, dict) else None
    shifted = " (shifted once, not twice)" if run.objective == "causal-lm" else ""
    check_labels = (
        f"Decode inputs and labels of one batch: the labels must fit the inputs{shifted} and not all be masked."
    )
    if vocabulary and _in_nats(run):
        check_labels += f" The uniform guess over {vocabulary:,} tokens costs {_ln(vocabulary):.2f} nats."
    return (
        *steps,
        check_labels,
        advice.lower_lr(run, run.last_step)
        if schedule is None and "lr" not in run
        else "Check which parameters the optimizer holds.",
    )


def _ln(size: int) -> float:
    from math import log

    return log(size)
