"""A language model that guesses: uniformly, by token frequencies, or worse than either."""

from __future__ import annotations

import numpy as np

from lmdiag.beginning import holds_start, still_warming
from lmdiag.chance.guess import (
    FEW_FLAT,
    FEWEST_IN_NATS,
    LARGEST_EXPONENT,
    LASTS,
    STILL_FALLS,
    Guess,
)
from lmdiag.chance.of_answers import never_moves
from lmdiag.chance.stated import stated_size
from lmdiag.figures import figure
from lmdiag.run import Run, Series
from lmdiag.stats.alignment import shared_steps
from lmdiag.stats.level import Level, level
from lmdiag.stats.limits import LARGEST_UNIFORM, LEARNS, NEAR_UNIFORM, STILL
from lmdiag.stats.progress import Progress
from lmdiag.stats.trend import mann_kendall, total_gain
from lmdiag.stats.windows import median
from lmdiag.task_measures import HIGHER_IS_BETTER

IN_NATS = 0.01  # of the loss, between it and the logarithm of a perplexity
# As much of a loss is no fall, where a program caps what it raises e to and so says that the loss is above
HARDLY_FALLS = 0.9
NEVER_RECORDS, WORSE_RECORDS = 5, 6  # of a handful
# Of three records or more: their range, and what the last is lower than the first at most; epochs are so long at least
FEW_RANGE, FEW_FALL, FEW_EPOCHS = 0.02, 0.003, 2
ABOVE_ALL = f"more than a uniform guess over any vocabulary in use costs (at most {LARGEST_UNIFORM:.0f} nats)"
WARMING_RECORDS = 30  # of a warm-up: fewer may still lie at the uniform guess
UNIFORM_END, UNIFORM_START, UNIFORM_SPREAD = 8.5, 16.0, 1.35  # nats, nats, and the 90% over the 10% quantile
LARGEST_FALL = ((10.0, 0.20), (9.0, 0.10), (NEAR_UNIFORM, 0.03))  # (all records above, fall from first to last third)
WARMING_LOW = 10.3  # nats: ln of 30,000 tokens
FREQUENCY_RECORDS, FREQUENCY_STEPS, FREQUENCY_FALL = 20, 1000, 0.15
EPOCHS_FALL = 0.10  # of the last half of as many epochs
LATE_RIGHT = 0.1  # accuracy of a token: with no more, and no clear fall, the loss may swing
LATE_STEP, LATE_COST = 10_000, 7.0  # nats: what token frequencies cost, which a model has learnt by then
BEGUN, LEAST_SPAN = 500, 100  # steps
LARGE = "about what a uniform guess over a large vocabulary costs"
EACH_LOWER = 0.9  # of the second half of so few steps: lower than the record before


def worse_in_nats(run: Run, losses: Series) -> Guess | None:
    """Return the guess of three records or more that the perplexity printed beside them makes nats of a token, and that do not fall."""
    if len(losses) < FEWEST_IN_NATS or "ppl" not in run or losses.values.min() <= LARGEST_UNIFORM:
        return None
    told, loss = shared_steps(run["ppl"].steps, losses.steps)
    printed = run["ppl"].values[told]
    if len(loss) < FEWEST_IN_NATS or not (np.isfinite(printed) & (printed > 0)).all():
        return None
    first, last, exponents = losses.values[0], losses.values[-1], np.log(printed)
    capped = np.ptp(exponents) == 0 and LARGEST_EXPONENT <= exponents[0] < losses.values.min()
    agrees = last >= first and np.abs(exponents / losses.values[loss] - 1).max() <= IN_NATS
    if not (agrees or (capped and last >= HARDLY_FALLS * first)):
        return None
    low, high = float(losses.values.min()), float(losses.values.max())
    words = f"{ABOVE_ALL}, and the perplexity beside it says that it is in nats"
    return Guess(words, LARGEST_UNIFORM, never_below=low if high > UNIFORM_SPREAD * low else 0.0)


def or_a_sum(run: Run, end: float) -> str:
    """Say what the loss is if it was summed over the accumulation steps that the log names, where no model need be so wrong then."""
    steps = run.config.get("grad_accum")
    if not isinstance(steps, int | float) or not 1 < steps < end or end / steps >= NEAR_UNIFORM:
        return ""
    return (
        f", unless it is the sum over {int(steps)} accumulation steps, of which each would be {figure(end / steps, 3)}"
    )


def begins(run: Run, losses: Series) -> bool:
    """Tell whether a language model is in its first steps, of which nearly each is better than the one before."""
    if (
        run.step_kind != "step"
        or losses.steps[-1] - losses.steps[0] >= LEAST_SPAN
        or losses.values.min() < NEAR_UNIFORM
    ):
        return False
    half = losses.values[len(losses) // 2 :]
    return bool((np.diff(half) < 0).mean() >= EACH_LOWER)


def uniform(run: Run, losses: Series, seen: Progress) -> Guess | None:
    """Return the guess over a vocabulary of unknown size, where the loss stays at what it may cost."""
    if not run.per_token or seen.low < NEAR_UNIFORM or seen.end < UNIFORM_END or seen.start > UNIFORM_START:
        return None
    if still_warming(run) and (seen.records < WARMING_RECORDS or seen.low < WARMING_LOW):
        return None
    largest = next(fall for above, fall in LARGEST_FALL if seen.low >= above)
    if seen.high / seen.low >= UNIFORM_SPREAD or seen.fall >= largest * seen.end or not _half_stays(losses.values):
        return None
    return Guess(ABOVE_ALL if seen.low > LARGEST_UNIFORM else LARGE, seen.end, of_all=True)


def _half_stays(values: np.ndarray) -> bool:
    half = values[len(values) // 2 :]
    gain, _ = total_gain(half, skip=0.0)
    return mann_kendall(half) > STILL_FALLS or gain < STILL * abs(float(median(half)))


def above_frequencies(run: Run, losses: Series, seen: Progress) -> Guess | None:
    span = int(losses.steps[-1] - losses.steps[0])
    if not run.per_token or seen.records < FREQUENCY_RECORDS or span < FREQUENCY_STEPS:
        return None
    high = min(seen.end, seen.low) >= NEAR_UNIFORM and seen.end <= UNIFORM_START
    if not high or seen.fall >= FREQUENCY_FALL * seen.end:
        return None
    falls = not _half_stays(losses.values)
    if falls and still_warming(run):
        return None
    end = seen.end if falls else level(losses.values, LASTS).value
    words = f"after {span:,} {run.unit}s still more than guessing by token frequency costs{or_a_sum(run, end)}"
    return Guess(words, NEAR_UNIFORM, falls=falls)


def many_passes(run: Run, losses: Series, seen: Progress) -> Guess | None:
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
    if min(seen.end, seen.low) < NEAR_UNIFORM or seen.end > UNIFORM_START or not never_moves(scores.finite.values):
        return None
    words = f"after {span:,} epochs still more than guessing by token frequency costs, and the accuracy never moves"
    return Guess(words, NEAR_UNIFORM, falls=True)


def begun_late(run: Run, losses: Series, kept: Level, flat: float) -> Guess | None:
    """Return the guess by token frequencies of a log that begins long after the training did."""
    span = int(losses.steps[-1] - losses.steps[0])
    if not _begins_late(run, losses) or span < FREQUENCY_STEPS or not kept.stays(flat):
        return None
    return Guess(_since(losses), LATE_COST) if LATE_COST <= kept.value <= UNIFORM_START else None


def late_and_wrong(run: Run, losses: Series, seen: Progress) -> Guess | None:
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


def from_the_start(run: Run, losses: Series) -> Guess | None:
    """Return the guess of a few records, from the start of a run on, that all lie where no model stays that sees its data for so long."""
    if len(losses) < FEWEST_IN_NATS or not run.per_token or not holds_start(run, losses) or run.step_kind == "record":
        return None
    low, high, span = float(losses.values.min()), float(losses.values.max()), int(losses.steps[-1] - losses.steps[0])
    if low < UNIFORM_END or high > UNIFORM_START or high - low >= FEW_RANGE * low:
        return None
    if still_warming(run) or span < (FEW_EPOCHS if run.step_kind == "epoch" else BEGUN):
        return None
    return Guess(LARGE, low) if losses.values[-1] >= (1 - FEW_FALL) * losses.values[0] else None


def of_a_handful(run: Run, losses: Series) -> Guess | None:
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
