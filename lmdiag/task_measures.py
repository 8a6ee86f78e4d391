"""What a model is for, as its evaluations measure it: accuracy, F1, ROUGE, error rates. These and the loss can want different checkpoints."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from lmdiag.patterns import lazy
from lmdiag.run import Run
from lmdiag.stats.course import course
from lmdiag.stats.windows import median

HIGHER_IS_BETTER = lazy(r"accuracy|(^|_)acc($|_)|f1|auc|matthews|rouge|bleu|(^|_)map($|_)", re.IGNORECASE)
LOWER_IS_BETTER = lazy(r"(^|_)(wer|cer)($|_)", re.IGNORECASE)
GIVEN_AN_INPUT = lazy(r"rouge|bleu|(^|_)(wer|cer|chrf|meteor)($|_)", re.IGNORECASE)
LEAST_GAIN = 0.01
CARRIED_OVER = 0.2  # of the gain of the training reward: an evaluation that gains less gained something else


@dataclass(frozen=True)
class Better:
    """A measure of the task that gained after the loss was best: its best step and value, and its value then."""

    name: str
    step: int
    value: float
    then: float


def follows_an_input(run: Run) -> bool:
    """Tell whether the text is a translation, a transcript or a summary, as its measures say: its input determines most of it.

    >>> from lmdiag.run import Series
    >>> follows_an_input(Run("a", {"val/wer": Series(np.array([1]), np.array([0.3]))}))
    True
    """
    return any(GIVEN_AN_INPUT.search(name.rpartition("/")[2]) for name in run.series)


def only_training_rewarded(run: Run) -> bool:
    """Tell whether the reward of the training rises and that of no evaluation does: what is learned does not carry over."""
    trained = run["reward"].finite.values if "reward" in run else np.empty(0)
    sets = [s.finite.values for name, s in run.series.items() if name.endswith("/reward") and len(s.finite) >= 5]
    if len(trained) < 5 or not sets or not course(trained).rises:
        return False
    least = CARRIED_OVER * (course(trained).end - course(trained).start)
    return not any(float(median(values[-2:])) - values[0] >= least for values in sets)


def better_later(run: Run, metric: str, best_step: int) -> Better | None:
    """Return the measure of the task, on the same split, that ends better than it was at the best loss; None if there is none."""
    split = metric.rpartition("/")[0]
    for name, series in run.series.items():
        of_split, _, measure = name.rpartition("/")
        sign = 1.0 if HIGHER_IS_BETTER.search(measure) else -1.0 if LOWER_IS_BETTER.search(measure) else 0.0
        scores = series.finite
        if not sign or of_split != split or len(scores) < 3:
            continue
        top = int(np.argmax(sign * scores.values))
        then = scores.values[max(0, int(np.searchsorted(scores.steps, best_step, side="right")) - 1)]
        if sign * (float(median(scores.values[-2:])) - then) >= LEAST_GAIN:
            return Better(name, int(scores.steps[top]), float(scores.values[top]), float(then))
    return None
