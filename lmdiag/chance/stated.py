"""Guesses whose cost the header of a log tells."""

from __future__ import annotations

from collections.abc import Iterator
from math import log

from msgspec.structs import replace

from lmdiag.chance.guess import Guess
from lmdiag.figures import figure
from lmdiag.run import Run, Series
from lmdiag.stats.level import Level
from lmdiag.stats.windows import median

UNTRAINED, LEAST_OF_UNIFORM = 0.06, 0.62  # of ln V: how near it a first loss lies; unigram entropies are 0.65 to 0.8
FEWEST_EVALUATIONS = 6  # fewer say too little about a level
STATED_BELOW, STATED_ABOVE = 0.01, 0.03  # of a stated cost: the sampling of the text; what random weights add to it


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


def at_stated_cost(run: Run, losses: Series, kept: Level, flat: float) -> Guess | None:
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


def dropped_once(run: Run, losses: Series, kept: Level, flat: float) -> Guess | None:
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
