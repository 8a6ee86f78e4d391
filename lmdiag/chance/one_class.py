"""A few evaluations and the training beside them that agree: every input gets the answer of one class."""

from __future__ import annotations

import numpy as np

from lmdiag.beginning import holds_start, outlasts_warm_up
from lmdiag.run import Run, Series
from lmdiag.stats.limits import STILL
from lmdiag.stats.noise import scatter
from lmdiag.stats.windows import median

FEWEST = 3  # evaluations
# Of the training loss: what the first record may lie above the rest, which learns how often each class occurs
AT_ONCE = 0.05
ALIKE, TOGETHER = 0.03, 0.05  # of the loss: spread of the evaluations, and how far from them the training may be
NOISE = 0.02  # of the training loss, in its records
# Of all answers: training and evaluation set hold the class as often, and it is not learned
AS_OFTEN, NO_BETTER = 0.05, 0.02


def agrees(run: Run, trained: Series, evaluated: Series, accuracy: float) -> bool:
    """Tell whether the training says that nothing is learned, either, where each evaluation has one accuracy.

    Its loss is that of the evaluation and falls no more behind its first record, its own accuracy is as high and does not rise.
    """
    if (
        len(trained) < FEWEST
        or len(evaluated) < FEWEST
        or not holds_start(run, trained)
        or not outlasts_warm_up(run, trained)
    ):
        return False
    values, cost = trained.values, float(median(evaluated.values))
    rest = values[1:]
    third = max(1, len(rest) // 3)
    end = float(median(rest[-third:]))
    if cost <= 0 or abs(end - cost) > TOGETHER * cost or np.ptp(evaluated.values) > ALIKE * cost:
        return False
    if (
        values[0] - end > AT_ONCE * end
        or float(median(rest[:third])) - end > STILL * end
        or scatter(values) > NOISE * end
    ):
        return False
    scores = run["accuracy"].finite.values if "accuracy" in run else np.empty(0)
    known = len(scores) >= FEWEST
    return not known or (abs(float(median(scores)) - accuracy) <= AS_OFTEN and scores[-1] - scores[0] <= NO_BETTER)
