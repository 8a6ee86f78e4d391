"""What a model is for, as its evaluations measure it: accuracy, F1, ROUGE, error rates. These and the loss can want different checkpoints."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from lmdiag.run import Run

HIGHER_IS_BETTER = re.compile(r"accuracy|(^|_)acc($|_)|f1|auc|matthews|rouge|bleu|(^|_)map($|_)", re.IGNORECASE)
LOWER_IS_BETTER = re.compile(r"(^|_)(wer|cer)($|_)", re.IGNORECASE)
AT_END = 0.75  # share of the evaluations after which the best value must lie
LEAST_GAIN = 0.01


@dataclass(frozen=True)
class Better:
    """A measure of the task that is best at a late step: its value there, and then, when the loss was best."""

    name: str
    step: int
    value: float
    then: float


def better_later(run: Run, metric: str, best_step: int) -> Better | None:
    """Return the measure of the task, on the same split, that is best near the end and gained since the best loss; None if there is none."""
    split = metric.rpartition("/")[0]
    for name, series in run.series.items():
        of_split, _, measure = name.rpartition("/")
        sign = 1.0 if HIGHER_IS_BETTER.search(measure) else -1.0 if LOWER_IS_BETTER.search(measure) else 0.0
        scores = series.finite
        if not sign or of_split != split or len(scores) < 4:
            continue
        top = int(np.argmax(sign * scores.values))
        then = scores.values[max(0, int(np.searchsorted(scores.steps, best_step, side="right")) - 1)]
        if top >= AT_END * (len(scores) - 1) and sign * (scores.values[top] - then) >= LEAST_GAIN:
            return Better(name, int(scores.steps[top]), float(scores.values[top]), float(then))
    return None
