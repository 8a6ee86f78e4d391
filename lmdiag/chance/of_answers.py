"""A model that guesses among a few answers, as its accuracy says."""

from __future__ import annotations

import re
from math import exp, log

import numpy as np

from lmdiag.chance.guess import (
    CLASSES_NEAR,
    COIN,
    FEW_FLAT,
    KNOWN_RECORDS,
    LARGEST_EXPONENT,
    MOST_ACCURATE,
    STILL_FALLS,
    TOSSING,
    Guess,
)
from lmdiag.figures import figure
from lmdiag.patterns import lazy
from lmdiag.run import Run, Series
from lmdiag.stats.level import Level
from lmdiag.stats.limits import KNOWS, STILL
from lmdiag.stats.windows import median

FEWEST = 4  # records, or evaluations
BETTER, LEAST_OF_GUESS = 1.10, 0.8  # accuracy times e^loss, of a model that guesses among e^loss answers: 1
# Accuracy of a token, the share of it that is gained, and what is next to nothing
NEVER_RIGHT, NO_BETTER, LITTLE = 0.15, 0.1, 0.001
# Of ln k, of 1/k; and no k is larger, for losses near its logarithm are then many
FEW_NEAR, FEW_RIGHT, MOST_ANSWERS = 0.005, 0.1, 1000
CHANCE_AUC = 0.01  # distance of the area under the ROC curve from 1/2
ONE_ANSWER_DIGITS = 4  # of an accuracy that is the same in every record
WHOLE_ACCURACY = lazy(r"^(?:exact|sequence|seq|full|em)_acc(?:uracy)?$", re.IGNORECASE)  # of whole answers
# Accuracies, answers, of the accuracy: how near it the mean likelihood lies, and how little either moves
FEWEST_LIKELY, MOST_LIKELY, AS_LIKELY, ALIKE = 5, 20, 0.1, 0.05
LIKELIHOODS = ("causal-lm", "masked-lm", "classification")


def never_moves(scores: np.ndarray) -> bool:
    """Tell whether an accuracy that is low at first is no better in its last half."""
    late, first = scores[len(scores) // 2 :], scores[: len(scores) // 2]
    if len(scores) < KNOWN_RECORDS or not late.mean() <= NEVER_RIGHT:
        return False
    return bool(late.mean() <= LITTLE or late.mean() - first.mean() <= NO_BETTER * late.mean())


def all_measures(run: Run, losses: Series) -> Guess | None:
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


def one_answer(run: Run, losses: Series) -> Guess | None:
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


def likelihoods(run: Run, losses: Series) -> Guess | None:
    """Return the guess among a few answers of a loss that is the negative likelihood itself, where its logarithm should be."""
    scores = run.series.get("val/accuracy", run.series.get("accuracy"))
    if run.objective != "signed" or scores is None or min(len(losses), len(scores.finite)) < FEWEST_LIKELY:
        return None
    likely, right = -losses.values, scores.finite.values
    accuracy, half = float(right.mean()), len(likely) // 2
    if not 0 < likely.min() <= likely.max() <= 1 or not accuracy > 0:
        return None
    answers = round(1 / accuracy)
    guessed = 2 <= answers <= MOST_LIKELY and abs(accuracy * answers - 1) <= AS_LIKELY
    moves = np.ptp(right) > ALIKE * accuracy or median(likely[half:]) > (1 + STILL) * median(likely[:half])
    if not guessed or moves or np.abs(likely / accuracy - 1).max() > AS_LIKELY:
        return None
    words = f"as far below 0 as a guess among {answers} answers is likely to be right, and an accuracy of {figure(accuracy, 3)} says the same: the loss is given probabilities where it needs their logarithms"
    return Guess(words, -1 / answers)


def _agrees(kept: Level, flat: float) -> bool:
    """Tell whether a level is flat or at least shows no trend, where something else than the loss speaks as well."""
    return kept.stays(flat) or (kept.error <= flat * abs(kept.value) and kept.rank_trend > STILL_FALLS)


def by_accuracy(run: Run, kept: Level, flat: float) -> Guess | None:
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
    if kept.value >= KNOWS and never_moves(values):
        moves = "is" if np.ptp(values) else "never moves: it is"
        words = f"next to nothing is learned, and the accuracy {moves} {figure(accuracy, 3)} over the last half"
        return Guess(words, kept.value)
    return None


def by_roc(run: Run, kept: Level) -> Guess | None:
    """Return the guess between two answers, where the area under the ROC curve is that of tossing a coin."""
    areas = run.series.get("auc", run.series.get("val/auc"))
    if areas is None or not len(areas.finite):
        return None
    area = float(median(areas.finite.values))
    if abs(area - 0.5) > CHANCE_AUC or not kept.is_at(COIN, CLASSES_NEAR):
        return None
    words = f"{TOSSING}, and the area under the ROC curve, {figure(area, 3)}, says the same"
    return Guess(words, COIN)
