"""What guessing costs: the guesses that the header of a log states, and tossing a coin."""

from __future__ import annotations

from collections.abc import Iterator
from math import log

import numpy as np
from msgspec import Struct

from lmdiag.figures import figure
from lmdiag.patterns import lazy
from lmdiag.run import Run, Series
from lmdiag.stats.alignment import shared_steps
from lmdiag.stats.level import Level, level
from lmdiag.stats.limits import LARGEST_UNIFORM, NEAR_UNIFORM, SURE
from lmdiag.stats.progress import progress
from lmdiag.stats.windows import median, quantile

COIN, TOSSING = log(2), "about what tossing a coin costs (0.6931)"
NEVER_BELOW, NOT_FAR_ABOVE = 0.002, 0.02  # ln 2, of three evaluations or more
FEWEST_EVALUATIONS, FEWEST_OF_BOTH = 3, 7
NO_LESS, ERRORS = 0.001, 2.0  # of ln 2, and standard errors: no coin costs less
SOON_THERE = 0.03  # above ln 2, the first tenth of the records: what only undoes the initialisation takes a few steps
MANY_RECORDS, FROM_FIRST = 200, 0.10  # with so many, the course itself is at chance: it begins near ln 2
MOST_ACCURATE = 0.55
CLASSES_NEAR = 0.02  # of ln k, beside an accuracy or a ROC curve that agrees
ABOVE_ALL = f"more than a uniform guess over any vocabulary in use costs (at most {LARGEST_UNIFORM:.0f} nats)"
FEWEST_IN_NATS, IN_NATS = 3, 0.01  # records with a perplexity; of the loss, between it and the logarithm of that
# A program that caps what it raises e to says that the loss is above; and as much of a loss is no fall
LARGEST_EXPONENT, HARDLY_FALLS = 50.0, 0.9
TOKENS = lazy(r"(^|[_/])(tokens|perplexity)($|_)")


class Guess(Struct, frozen=True):
    """What a loss stays at: the words for it, what guessing so costs, and which metric says so, if not the curve."""

    words: str
    cost: float
    of_all: bool = False  # that a vocabulary holds: nothing at all was learned
    metric: str = ""
    level: float = 0.0  # where that metric stays
    falls: bool = False  # still, too slowly
    never_below: float = 0.0  # of a loss that swings


def stated_guesses(run: Run) -> Iterator[Guess]:
    """Yield the guesses whose cost the header states."""
    given = run.config.get("reference_loss")
    costs = given if isinstance(given, dict) else {}
    classes, size = int(stated_size(run, "classes")), int(stated_size(run, "vocab_size"))
    if run.objective == "classification" and classes > 1:
        yield Guess(f"about what guessing among {classes:,} classes costs ({figure(log(classes))})", log(classes))
    if run.per_token and _number(costs.get("unigram")) > 0:
        words = f"about what knowing only how often each token occurs costs ({figure(costs['unigram'])})"
        yield Guess(words, float(costs["unigram"]))
    if run.per_token and size > 1:
        yield Guess(f"about what a uniform guess over {size:,} tokens costs ({figure(log(size))})", log(size), True)


def stated_size(run: Run, name: str) -> float:
    """Return a number that the header states of the model, 0 where it states none."""
    model = run.config.get("model")
    return _number(model.get(name)) if isinstance(model, dict) else 0.0


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def coin(run: Run, values: np.ndarray, kept: Level, near: float, flat: float) -> Guess | None:
    """Return the guess between two answers, where the loss of a model of unknown answers stays at ln 2.

    `kept` is the level of its last records, `near` and `flat` are shares of ln 2: how near it lies, and how little it changes.
    """
    model = run.config.get("model")
    stated = isinstance(model, dict) and bool({"vocab_size", "classes"} & set(model))
    if (stated and run.objective != "classification") or not (run.per_token or run.objective == "classification"):
        return None
    if _knows_more(run) or _of_tokens(run):
        return None
    both = all(
        one is not None and len(one[1].finite) >= FEWEST_OF_BOTH and _meets(one[1].finite.values, near)
        for one in (run.curve, run.evaluation)
    )
    if both:
        return Guess(f"{TOSSING}, and so does the evaluation", COIN)
    evaluated = run.evaluation_loss[1].finite.values / COIN - 1 if run.evaluation_loss else np.empty(0)
    above = len(evaluated) >= FEWEST_EVALUATIONS and -NEVER_BELOW <= evaluated.min() <= evaluated.max() <= NOT_FAR_ABOVE
    if not above and _costs_less(kept):
        return None
    soon = kept.is_at(COIN, 2 * near if above else near) and kept.stays(flat) and not _learned_on_its_way(values)
    return Guess(TOSSING, COIN) if soon or _from_the_first(values, near, flat) else None


def _of_tokens(run: Run) -> bool:
    """Tell whether a log counts tokens or their perplexity: what it trains answers among more than two."""
    return "ppl" in run or any(TOKENS.search(name) for name in run.series)


def _learned_on_its_way(values: np.ndarray) -> bool:
    """Tell whether the first tenth of the records lies surely above ln 2."""
    first = level(values[: max(3, len(values) // 10)], 1.0)
    return first.value - ERRORS * first.error > COIN * (1 + SOON_THERE)


def _from_the_first(values: np.ndarray, near: float, flat: float) -> bool:
    """Tell whether many records begin near ln 2 and are at it in their last half, which may still undo the initialisation."""
    if len(values) < MANY_RECORDS or abs(progress(values).start / COIN - 1) > FROM_FIRST:
        return False
    half = level(values, 0.5)
    ends = abs(half.end - COIN) <= near * COIN + SURE * half.end_error
    at = half.error <= 2 * near * COIN and abs(half.value - COIN) <= near * COIN and not _costs_less(half)
    return ends and at and abs(half.gain) < flat * COIN


def _costs_less(kept: Level) -> bool:
    return kept.value + ERRORS * kept.error < (1 - NO_LESS) * COIN


def _knows_more(run: Run) -> bool:
    """Tell whether an accuracy or the evaluation says that a model whose loss is ln 2 is not tossing a coin."""
    scores = run.series.get("accuracy", run.series.get("val/accuracy"))
    if scores is not None and len(scores.finite) and median(scores.finite.values) > MOST_ACCURATE:
        return True
    losses = run.evaluation_loss[1].finite.values if run.evaluation_loss else np.empty(0)
    return len(losses) > 0 and abs(float(median(losses[len(losses) // 2 :])) - COIN) > CLASSES_NEAR * COIN


def _meets(values: np.ndarray, near: float) -> bool:
    """Tell whether the last half of some values, but for a tenth at each end, lies at ln 2."""
    late = values[len(values) // 2 :]
    return max(abs(quantile(late, 0.1) - COIN), abs(quantile(late, 0.9) - COIN)) <= near * COIN


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
    return Guess(f"{ABOVE_ALL}, and the perplexity beside it says that it is in nats", LARGEST_UNIFORM)


def or_a_sum(run: Run, end: float) -> str:
    """Say what the loss is if it was summed over the accumulation steps that the log names, where no model need be so wrong then."""
    steps = run.config.get("grad_accum")
    if not isinstance(steps, int | float) or not 1 < steps < end or end / steps >= NEAR_UNIFORM:
        return ""
    return (
        f", unless it is the sum over {int(steps)} accumulation steps, of which each would be {figure(end / steps, 3)}"
    )
