import re
from math import exp, log

import numpy as np
from msgspec.structs import replace

from lmdiag import advice
from lmdiag.chance import (
    ABOVE_ALL,
    CLASSES_NEAR,
    COIN,
    FEWEST_IN_NATS,
    LARGEST_EXPONENT,
    MOST_ACCURATE,
    TOSSING,
    Guess,
    coin,
    or_a_sum,
    stated_guesses,
    stated_size,
    worse_in_nats,
)
from lmdiag.figures import figure
from lmdiag.finding import Curve, Finding, Findings, NotChecked, Severity, rule, too_few
from lmdiag.patterns import lazy
from lmdiag.run import Run, Series
from lmdiag.stats.level import Level, level
from lmdiag.stats.limits import FEW_PLANNED, KNOWS, LARGEST_UNIFORM, LEARNS, NEAR_UNIFORM, STILL, SURE
from lmdiag.stats.phases import phases
from lmdiag.stats.progress import Progress, progress
from lmdiag.stats.trend import mann_kendall, total_gain
from lmdiag.stats.windows import median
from lmdiag.task_measures import HIGHER_IS_BETTER

FEWEST, LEAST_RECORDS, ERROR_RECORDS = 4, 10, 50
WARMING_RECORDS = 30  # of a warm-up: fewer may still lie at the uniform guess
UNIFORM_END, UNIFORM_START, UNIFORM_SPREAD = 8.5, 16.0, 1.35  # nats, nats, and the 90% over the 10% quantile
LARGEST_FALL = ((10.0, 0.20), (9.0, 0.10), (NEAR_UNIFORM, 0.03))  # (all records above, fall from first to last third)
STILL_FALLS = LEARNS / 2  # rank trend of the second half
WARMING_LOW = 10.3  # nats: ln of 30,000 tokens
UNTRAINED, LEAST_OF_UNIFORM = 0.06, 0.62  # of ln V: how near it a first loss lies; unigram entropies are 0.65 to 0.8
FREQUENCY_RECORDS, FREQUENCY_STEPS, FREQUENCY_FALL = 20, 1000, 0.15
EPOCHS_FALL = 0.10  # of the last half of as many epochs
KNOWN_RECORDS, FEWEST_EVALUATIONS = 15, 6  # fewer say too little about a level
FALLS = 3.0  # times the gain of a flat curve: what falls by more need not be looked at closely
LASTS = 0.8  # of the records, at the level
STATED_BELOW, STATED_ABOVE = 0.01, 0.03  # of a stated cost: the sampling of the text; what random weights add to it
BETTER, LEAST_OF_GUESS = 1.10, 0.8  # accuracy times e^loss, of a model that guesses among e^loss answers: 1
# Accuracy of a token, the share of it that is gained, and what is next to nothing
NEVER_RIGHT, NO_BETTER, LITTLE = 0.15, 0.1, 0.001
# Of ln k, of 1/k; and no k is larger, for losses near its logarithm are then many
FEW_NEAR, FEW_RIGHT, MOST_ANSWERS = 0.005, 0.1, 1000
LATE_RIGHT = 0.1  # accuracy of a token: with no more, and no clear fall, the loss may swing
LATE_STEP, LATE_COST = 10_000, 7.0  # nats: what token frequencies cost, which a model has learnt by then
CHANCE_AUC = 0.01  # distance of the area under the ROC curve from 1/2
FEW_FLAT, NEVER_RECORDS, WORSE_RECORDS = 0.01, 5, 6  # of the level: between the lowest and the highest of a handful
ONE_ANSWER_DIGITS = 4  # of an accuracy that is the same in every record
BEGUN, LEAST_SPAN = 500, 100  # steps
LARGE = "about what a uniform guess over a large vocabulary costs"
WHOLE_ACCURACY = lazy(r"^(?:exact|sequence|seq|full|em)_acc(?:uracy)?$", re.IGNORECASE)  # of whole answers
EACH_LOWER = 0.9  # of the second half of so few steps: lower than the record before
LIKELIHOODS = ("causal-lm", "masked-lm", "classification")


@rule(family="convergence", needs=("curve",), severity=Severity.WARNING, min_points=FEWEST_IN_NATS)
def check(run: Run, curve: Curve, *, near: float = 0.005, flat: float = 0.02) -> Findings:
    """Loss stays at what guessing costs.

    ## What it looks for
    A model that ignores its input: it answers everything alike, or as often as each answer occurs. The loss may fall to
    that level first.

    ## How it decides
    One of these tests. *Flat* is an equivalence test: over the last 80% of the records the loss changes surely (95%) by
    less than `flat` (2%) of its level, and its ranks do not fall unless the gain is under 1%. A guess is *met* where the mean of these records, and of the last tenth, lies
    within a share of its cost, and the noise leaves no more room than that.

    | test | asks for | why that much |
    |---|---|---|
    | uniform guess over a large vocabulary | 8 to 16 nats per token, 10 to 90% range under 35% | ln V of 3,000 to 250,000 tokens, and what a bad initialisation adds |
    | | fall from the first to the last third under 3% above 8 nats, 10% above 9, 20% above 10 | the nearer to ln V, the surer that the fall only undoes the initialisation |
    | | second half: no rank trend (z above -1.5), or under 1% gained | a loss that falls on is learning, as in the first steps of a warm-up |
    | the same in warm-up | 30 records, all above 10.3 nats | the first rates are tiny |
    | more than token frequencies cost | after 1,000 steps and 20 records 8 to 16 nats, fall under 15%; not while the rates still rise and the loss falls | the unigram entropy over 50,000 tokens is 7.3 to 7.7 nats |
    | the same in epochs | 20 at 8 to 16 nats, a fall under 10% in their last half; the accuracy never moves, as below | so many passes leave token frequencies behind |
    | a guess that the header states: ln V, ln k of its classes, the unigram loss | flat, and from 1% below to 3% above it; or so the last half of six evaluations or more | on its way down a loss passes these levels, it does not stay |
    | one drop | first record within 6% of ln V of the header, then flat at 62% of ln V or above | unigram entropies are 0.65 to 0.8 of ln V, from characters to 50,000 tokens; a model that uses the context falls below |
    | ln 2, where the header states no vocabulary and the log counts no tokens | flat, met to `near` (0.5%), in 15 records, and no evaluation elsewhere, no accuracy above 0.55; for the last half if the evaluation meets it too; met to 1% where three evaluations or more are at most 2% above it and none is below; or 200 records or more begin within 10% of it, and their last half meets it, gaining up to 2% | of healthy fine-tunes that are as flat one in 200 ends there by chance |
    | | not where the loss is surely below it, unless the evaluation is not, nor, in fewer than 200 records, where the first tenth lies surely 3% above | no coin costs less; what only undoes the initialisation takes a few steps |
    | log that begins late | step 10,000 or later; flat at 7 nats or above, over 1,000 steps; a perplexity or a vocabulary says that it is one of tokens | a model that learns has left token frequencies behind by then, at any rate |
    | | or never below 7 nats without a clear fall (z above -3), and an accuracy of the training of 0.1 at most | the same of one that swings |
    | few epochs, losses and accuracies | at least 3 of each, of training without its first record and of the evaluation: losses within 0.5% of ln k, for one k up to 1,000, accuracies within 10% of 1/k | four measures that agree are no chance, however few |
    | a handful of records, no token right | 5 at 8 to 16 nats, within 1% of each other, from step 500 on; an accuracy of the training is exactly 0 in all | patience explains no warm-up of 500 steps that leaves both where they were |
    | a handful of records, worse than any guess | 6 above 13 nats, within 1% of each other, over 100 steps | so wrong a model betters itself at the lowest rates |
    | the same, in nats | 3 above 13, the last no lower than the first, and a perplexity of e^loss (to 1% of the loss) beside each, or in all the cap of one (e^50 or more) below a loss that falls by less than 10% | it is no sum |
    | accuracy | flat; accuracy times e^loss from 0.8 to 1.1, accuracy up to 0.55 | who guesses among k answers is right once in k, and pays ln k |
    | a handful of records, one accuracy | 4, within 1% of each other; the accuracy is the same in all, to the last of four digits, up to 0.55, and 0.8 to 1.1 times e^-loss | who learns anything answers some question otherwise |
    | accuracy that never moves | flat at 2 nats or above; accuracy, of tokens or of whole answers, up to 0.15, under 0.1 of it gained from its first to its last half, or up to 0.001 in the last | a token of 2 nats is right more often than once in seven |
    | ROC curve | ln 2 met to 2%; area within 0.01 of 1/2 | tossing a coin |

    It is an error where the uniform guess over a large vocabulary lasts for 50 records: nothing at all was learned.

    ## Why it matters
    The labels do not fit the inputs, the input is masked or constant, or the gradient does not reach what reads it. More
    steps will not help.

    ## False alarms it avoids
    The first 5% of a planned run; the first records of a warm-up, of which each is lower than the one before, and fewer than 100 steps whose second half is so ordered; noise that hides whether the loss is flat;
    summed losses, for which no guess is known.

    ## What to try
    Overfit one batch. Feed the same batch with its inputs shuffled: if the loss is the same, the input is ignored.

    ## References
    - Karpathy 2019, A recipe for training neural networks: verify that the loss is better than with zeroed inputs.
    """
    metric, losses = curve
    surely = worse_in_nats(run, losses)
    agreed = surely or _all_measures(run, losses) or _of_a_handful(run, losses) or _one_answer(run, losses)
    if len(losses) < LEAST_RECORDS and not agreed:
        yield too_few(len(losses), "finite values of the loss", LEAST_RECORDS)
        return
    share = run.planned_share
    if share is not None and share < FEW_PLANNED and not surely:
        yield NotChecked(f"only {share:.1%} of the planned steps are done")
        return
    if not agreed and _begins(run, losses):
        return
    seen = progress(losses.values)
    found = agreed or _uniform(run, losses, seen) or _above_frequencies(run, losses, seen)
    found = found or _epochs(run, losses, seen) or _late_and_wrong(run, losses, seen)
    may_stay = seen.gain < FALLS * flat * abs(seen.end) + SURE * seen.gain_error
    kept = level(losses.values, LASTS) if found is None and may_stay else None
    if kept:
        found = _late(run, losses, kept, flat)
    if kept and found is None and len(losses) >= KNOWN_RECORDS:
        found = _stated(run, losses, kept, flat) or _first_drop(run, losses, kept, flat)
        found = found or coin(run, losses.values, kept, near, flat) or _accuracy(run, kept, flat) or _roc(run, kept)
    if found is None:
        return
    stays = found.level or level(losses.values, LASTS).value
    does = f"falls only to {figure(seen.end)}" if found.falls else f"stays at {figure(stays)}"
    does = f"is never below {figure(found.never_below)}" if found.never_below else does
    name = found.metric or ("The loss" if metric == "loss" else metric)
    first = figure(float(losses.values[0]))
    after = "" if found.metric or first in ("0", figure(stays)) else f", after {first} in the first"
    yield Finding(
        f"{name} {does} in {seen.records:,} records{after}: {found.words}.",
        int(losses.steps[0]),
        int(losses.steps[-1]),
        found.metric or metric,
        {
            "start": seen.start,
            "end": seen.end,
            "level": stays,
            "fall": seen.fall,
            "guess": found.cost,
            "records": seen.records,
        },
        _advice(run),
        Severity.ERROR if found.of_all and seen.records >= ERROR_RECORDS else Severity.WARNING,
    )


def _begins(run: Run, losses: Series) -> bool:
    """Tell whether a language model is in its first steps, of which nearly each is better than the one before."""
    if (
        run.step_kind != "step"
        or losses.steps[-1] - losses.steps[0] >= LEAST_SPAN
        or losses.values.min() < NEAR_UNIFORM
    ):
        return False
    half = losses.values[len(losses) // 2 :]
    return bool((np.diff(half) < 0).mean() >= EACH_LOWER)


def _uniform(run: Run, losses: Series, seen: Progress) -> Guess | None:
    """Return the guess over a vocabulary of unknown size, where the loss stays at what it may cost."""
    if not run.per_token or seen.low < NEAR_UNIFORM or seen.end < UNIFORM_END or seen.start > UNIFORM_START:
        return None
    schedule = phases(run["lr"].steps, run["lr"].values) if "lr" in run else None
    warming = schedule is not None and schedule.still_warming
    if warming and (seen.records < WARMING_RECORDS or seen.low < WARMING_LOW):
        return None
    largest = next(fall for above, fall in LARGEST_FALL if seen.low >= above)
    if seen.high / seen.low >= UNIFORM_SPREAD or seen.fall >= largest * seen.end or not _half_stays(losses.values):
        return None
    return Guess(ABOVE_ALL if seen.low > LARGEST_UNIFORM else LARGE, seen.end, of_all=True)


def _half_stays(values: np.ndarray) -> bool:
    half = values[len(values) // 2 :]
    gain, _ = total_gain(half, skip=0.0)
    return mann_kendall(half) > STILL_FALLS or gain < STILL * abs(float(median(half)))


def _above_frequencies(run: Run, losses: Series, seen: Progress) -> Guess | None:
    span = int(losses.steps[-1] - losses.steps[0])
    if not run.per_token or seen.records < FREQUENCY_RECORDS or span < FREQUENCY_STEPS:
        return None
    high = min(seen.end, seen.low) >= NEAR_UNIFORM and seen.end <= UNIFORM_START
    if not high or seen.fall >= FREQUENCY_FALL * seen.end:
        return None
    schedule = phases(run["lr"].steps, run["lr"].values) if "lr" in run else None
    falls = not _half_stays(losses.values)
    if falls and schedule is not None and schedule.still_warming:
        return None
    end = seen.end if falls else level(losses.values, LASTS).value
    words = f"after {span:,} {run.unit}s still more than guessing by token frequency costs{or_a_sum(run, end)}"
    return Guess(words, NEAR_UNIFORM, falls=falls)


def _epochs(run: Run, losses: Series, seen: Progress) -> Guess | None:
    """Return the guess by token frequencies of many passes over the data that leave no more tokens right."""
    scores = run.series.get("accuracy", run.series.get("val/accuracy"))
    half, span = losses.values[len(losses) // 2 :], int(losses.steps[-1] - losses.steps[0])
    slow = float(half[0] - half[-1]) < EPOCHS_FALL * seen.end
    if (
        run.step_kind != "epoch"
        or not run.per_token
        or min(seen.records, span + 1) < FREQUENCY_RECORDS
        or scores is None
        or not slow
    ):
        return None
    if min(seen.end, seen.low) < NEAR_UNIFORM or seen.end > UNIFORM_START or not _never_moves(scores.finite.values):
        return None
    words = f"after {span:,} epochs still more than guessing by token frequency costs, and the accuracy never moves"
    return Guess(words, NEAR_UNIFORM, falls=True)


def _never_moves(scores: np.ndarray) -> bool:
    """Tell whether an accuracy that is low at first is no better in its last half."""
    late, first = scores[len(scores) // 2 :], scores[: len(scores) // 2]
    if len(scores) < KNOWN_RECORDS or not late.mean() <= NEVER_RIGHT:
        return False
    return bool(late.mean() <= LITTLE or late.mean() - first.mean() <= NO_BETTER * late.mean())


def _late(run: Run, losses: Series, kept: Level, flat: float) -> Guess | None:
    """Return the guess by token frequencies of a log that begins long after the training did."""
    span = int(losses.steps[-1] - losses.steps[0])
    if not _begins_late(run, losses) or span < FREQUENCY_STEPS or not kept.stays(flat):
        return None
    return Guess(_since(losses), LATE_COST) if LATE_COST <= kept.value <= UNIFORM_START else None


def _late_and_wrong(run: Run, losses: Series, seen: Progress) -> Guess | None:
    """Return the same guess where the loss swings and the accuracy says as much."""
    scores, low = run.series.get("accuracy"), float(losses.values.min())
    if scores is None or not len(scores.finite) or scores.finite.values.max() > LATE_RIGHT:
        return None
    if not _begins_late(run, losses) or low < LATE_COST or seen.rank_trend <= LEARNS:
        return None
    return Guess(f"{_since(losses)}, and at most one token in ten is right", LATE_COST, never_below=low)


def _begins_late(run: Run, losses: Series) -> bool:
    """Tell whether a log of tokens begins where token frequencies are long learned."""
    of_tokens = "ppl" in run or stated_size(run, "vocab_size") > 1
    return run.step_kind == "step" and int(losses.steps[0]) >= LATE_STEP and run.per_token and of_tokens


def _since(losses: Series) -> str:
    return (
        f"after {int(losses.steps[0]):,} steps, where this log begins, no less than guessing by token frequency costs"
    )


def _all_measures(run: Run, losses: Series) -> Guess | None:
    """Return the guess that losses and accuracies of training and evaluation agree on, few as they may be."""
    evaluated = run.evaluation_loss[1].finite.values if run.evaluation_loss else np.empty(0)
    scores = [run.series[name].finite.values for name in ("accuracy", "val/accuracy") if name in run.series]
    measures = [losses.values[1:], evaluated, *(score[-max(1, len(score) - 1) :] for score in scores)]
    if run.objective not in LIKELIHOODS or not scores or min(map(len, measures)) < FEWEST - 1:
        return None
    answers = round(exp(min(max(float(median(evaluated)), 0.0), log(MOST_ANSWERS))))
    if not 2 <= answers < MOST_ANSWERS:
        return None
    cost = log(answers)
    at_cost = all(np.abs(values / cost - 1).max() <= FEW_NEAR for values in measures[:2])
    if not at_cost or not all(np.abs(values * answers - 1).max() <= FEW_RIGHT for values in measures[2:]):
        return None
    words = f"about what guessing among {answers} answers costs ({figure(cost)}), and the evaluation and the accuracy say the same"
    return Guess(words, cost, level=float(median(losses.values[1:])))


def _of_a_handful(run: Run, losses: Series) -> Guess | None:
    """Return the guess that a handful of records leave no doubt of: no token is right, or none was ever so wrong, and nothing moves."""
    if len(losses) < NEVER_RECORDS or not run.per_token or run.step_kind != "step":
        return None
    low, high, span = float(losses.values.min()), float(losses.values.max()), losses.steps[-1] - losses.steps[0]
    if high - low >= FEW_FLAT * low:
        return None
    if low > LARGEST_UNIFORM and len(losses) >= WORSE_RECORDS and span >= LEAST_SPAN:
        return Guess(ABOVE_ALL, LARGEST_UNIFORM)
    scores = [s.finite.values for name, s in run.series.items() if "/" not in name and HIGHER_IS_BETTER.search(name)]
    never = any(len(values) >= NEVER_RECORDS and not values.any() for values in scores)
    if never and losses.steps[0] >= BEGUN and low >= NEAR_UNIFORM and high <= UNIFORM_START:
        return Guess(f"{LARGE}, and not one token is right", low)
    return None


def _one_answer(run: Run, losses: Series) -> Guess | None:
    """Return the guess of a handful of records whose accuracy is one and the same, digit for digit, and no better than a guess."""
    scores = run.series.get("accuracy", run.series.get("val/accuracy"))
    if scores is None or run.objective not in LIKELIHOODS or min(len(losses), len(scores.finite)) < FEWEST:
        return None
    accuracy, low, high = float(scores.finite.values[0]), float(losses.values.min()), float(losses.values.max())
    if np.ptp(scores.finite.values) > 0 or (scores.decimals or 0) < ONE_ANSWER_DIGITS or high - low > FEW_FLAT * low:
        return None
    if not (0 < accuracy <= MOST_ACCURATE and LEAST_OF_GUESS <= accuracy * exp(min(low, LARGEST_EXPONENT)) <= BETTER):
        return None
    cost = float(median(losses.values))
    return Guess(f"about what guessing costs, and the accuracy is {figure(accuracy, 4)} in every record", cost)


def _stated(run: Run, losses: Series, kept: Level, flat: float) -> Guess | None:
    """Return the guess whose cost the header states, where the loss stays at it."""
    guesses = [*stated_guesses(run)]
    if not guesses or not kept.stays(flat):
        return None
    metric, evaluated = run.evaluation_loss or ("", losses)
    late = evaluated.finite.values[len(evaluated.finite) // 2 :]
    for guess in guesses:
        if kept.error <= STATED_BELOW * guess.cost and _at_stated(guess, kept.value, kept.value):
            return guess
        if metric and len(late) >= FEWEST_EVALUATIONS // 2 and _at_stated(guess, late.min(), late.max()):
            return replace(guess, metric=metric, level=float(median(late)))
    return None


def _at_stated(guess: Guess, low: float, high: float) -> bool:
    return (1 - STATED_BELOW) * guess.cost <= low and high <= (1 + STATED_ABOVE) * guess.cost


def _first_drop(run: Run, losses: Series, kept: Level, flat: float) -> Guess | None:
    """Return the guess by token frequencies, whose cost is not stated, of a model that began at ln V and dropped once."""
    given, size = run.config.get("reference_loss"), stated_size(run, "vocab_size")
    stated = isinstance(given, dict) and "unigram" in given
    if not run.per_token or stated or size <= 1 or not kept.stays(flat):
        return None
    cost = log(size)
    if abs(float(losses.values[0]) / cost - 1) > UNTRAINED or not LEAST_OF_UNIFORM * cost <= kept.value < cost:
        return None
    words = f"{kept.value / cost:.0%} of what a uniform guess over {int(size):,} tokens costs ({figure(cost)}), as token frequencies alone do"
    return Guess(words, cost)


def _agrees(kept: Level, flat: float) -> bool:
    """Tell whether a level is flat or at least shows no trend, where something else than the loss speaks as well."""
    return kept.stays(flat) or (kept.error <= flat * abs(kept.value) and kept.rank_trend > STILL_FALLS)


def _accuracy(run: Run, kept: Level, flat: float) -> Guess | None:
    """Return the guess of a model that is right as often as a guess is, by its accuracy."""
    scores = run.series.get("accuracy", run.series.get("val/accuracy"))
    scores = scores or next((s for name, s in run.series.items() if WHOLE_ACCURACY.search(name)), None)
    if scores is None or len(scores.finite) < KNOWN_RECORDS // 2 or not _agrees(kept, flat):
        return None
    values = scores.finite.values
    accuracy = float(values[len(values) // 2 :].mean())
    guessed = accuracy * exp(min(kept.value, LARGEST_EXPONENT))
    if run.objective in LIKELIHOODS and LEAST_OF_GUESS <= guessed <= BETTER and accuracy <= MOST_ACCURATE:
        answers = round(exp(kept.value))
        cost = log(answers) if answers > 1 else kept.value
        return Guess(
            f"about what guessing among {answers:,} answers costs ({figure(cost)}), and an accuracy of {figure(accuracy, 3)} says the same",
            cost,
        )
    if kept.value >= KNOWS and _never_moves(values):
        moves = "is" if np.ptp(values) else "never moves: it is"
        words = f"next to nothing is learned, and the accuracy {moves} {figure(accuracy, 3)} over the last half"
        return Guess(words, kept.value)
    return None


def _roc(run: Run, kept: Level) -> Guess | None:
    """Return the guess between two answers, where the area under the ROC curve is that of tossing a coin."""
    areas = run.series.get("auc", run.series.get("val/auc"))
    if areas is None or not len(areas.finite):
        return None
    area = float(median(areas.finite.values))
    if abs(area - 0.5) > CHANCE_AUC or not kept.is_at(COIN, CLASSES_NEAR):
        return None
    words = f"{TOSSING}, and the area under the ROC curve, {figure(area, 3)}, says the same"
    return Guess(words, COIN)


def _advice(run: Run) -> tuple[str, ...]:
    peak = float(run["lr"].finite.values.max(initial=0.0)) if "lr" in run else 0.0
    known = f"; the peak was {figure(peak, 2)}" if peak > 0 else ""
    return (
        *advice.set_in_motion(run),
        "Feed one batch again with its inputs shuffled: if the loss is the same, the model does not see its input.",
        advice.labels(run),
        f"Overfit one batch: if its loss goes to zero, try learning rates a factor of ten apart, both ways{known}.",
    )
