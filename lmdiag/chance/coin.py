"""A loss at ln 2, of which a log says no more."""

from __future__ import annotations

import numpy as np

from lmdiag.chance.guess import CLASSES_NEAR, COIN, MOST_ACCURATE, TOSSING, Guess
from lmdiag.patterns import lazy
from lmdiag.run import Run
from lmdiag.stats.level import Level, level
from lmdiag.stats.limits import SURE
from lmdiag.stats.progress import progress
from lmdiag.stats.windows import median, quantile

NEVER_BELOW, NOT_FAR_ABOVE = 0.002, 0.02  # ln 2, of three evaluations or more
FEWEST_EVALUATIONS, FEWEST_OF_BOTH = 3, 7
NO_LESS, ERRORS = 0.001, 2.0  # of ln 2, and standard errors: no coin costs less
SOON_THERE = 0.03  # above ln 2, the first tenth of the records: what only undoes the initialisation takes a few steps
MANY_RECORDS, FROM_FIRST = 200, 0.10  # with so many, the course itself is at chance: it begins near ln 2
TOKENS = lazy(r"(^|[_/])(tokens|perplexity)($|_)")


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
