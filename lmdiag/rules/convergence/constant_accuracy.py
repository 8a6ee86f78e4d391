from math import log

import numpy as np

from lmdiag.figures import figure
from lmdiag.finding import SHAPELESS, Curve, Finding, Findings, NotChecked, Severity, rule, too_few
from lmdiag.run import Run, Series
from lmdiag.stats.alignment import shared_steps

EVALUATIONS = 5
DIGITS = 3  # of the accuracy: with fewer, a hundred answers may change unseen
MOST_ACCURATE = 0.98  # above, little is left to answer otherwise
FEW_ANSWERS = 50  # as many may be right alike by chance
ROUNDED, SINGLE = 1e-6, 1e-7  # the rounding that still tells their share; that of single precision
NEAR = 0.9  # of what the shares of right and wrong answers cost who tells no two inputs apart


@rule(family="convergence", needs=("curve",), severity=Severity.WARNING, min_points=EVALUATIONS)
def check(run: Run, _: Curve, *, moved: float = 0.03) -> Findings:
    """Accuracy is the same in every evaluation while the loss moves.

    ## What it looks for
    A classifier that gives every input the same answer, mostly that of the largest class.

    ## How it decides
    The accuracy of an evaluation set is the same, to the last of three digits or more, in five evaluations or more, all of them or all but the first, above 0 and up to 0.98, while
    the loss of the same set changes by `moved` (3%) or more. No evaluation may cost less than 90% of what who ignores the input pays at the least, which is
    the entropy of right and wrong answers, -a ln a - (1 - a) ln(1 - a): a model that tells inputs apart pays less.

    ## Why it matters
    The accuracy is the share of one class. The loss falls only because that share is learned.

    ## False alarms it avoids
    Small sets whose accuracy repeats itself: one that is k of 50 answers or fewer (0.625 is 5 of 8), the share of one in as many classes apart; good models, whose loss is lower; accuracies of 0, which were not computed; preference and
    reinforcement learning.

    ## What to try
    Count the predictions of one evaluation by class. Weigh the classes or sample them equally, lower the learning rate, train the head longer; check that
    the labels belong to their inputs.

    ## References
    - Cover and Thomas 2006, Elements of Information Theory, theorem 2.6.5: a guess without the input costs the entropy of the answers.
    """
    if run.objective in SHAPELESS or run.kind == "preference":
        yield NotChecked("its accuracy is that of pairs or of a policy, not of answers")
        return
    pairs = {name: pair for name, pair in run.beside_loss("accuracy").items() if name != "accuracy"}
    if not pairs:
        yield NotChecked("the log has no accuracy of an evaluation set beside its loss")
        return
    longest = max(len(accuracies.finite) for accuracies, _ in pairs.values())
    if longest < EVALUATIONS:
        yield too_few(longest, "finite accuracies of one evaluation set", EVALUATIONS)
        return
    for name, (accuracies, losses) in pairs.items():
        series = accuracies.finite
        apart = int(len(series) > EVALUATIONS and series.values[0] != series.values[1])
        found = _same(series.at(slice(apart, None)), losses.finite, moved)
        if found is None:
            continue
        accuracy, low, high = found
        steps = series.steps[apart:]
        often = f"{len(steps):,} evaluations{' behind the first' if apart else ''}"
        yield Finding(
            f"{name} is {figure(accuracy, 4)} in all {often}, while the loss beside it is from "
            f"{figure(low)} to {figure(high)}: the same answers are right each time, as where every input gets the answer of one class.",
            int(steps[0]),
            int(steps[-1]),
            name,
            {"accuracy": accuracy, "lowest_loss": low, "highest_loss": high},
            (
                "Count the predictions of one evaluation by class: is there more than one?",
                "If not, weigh the classes or sample them equally, and check that labels and inputs belong together.",
                "If so, the metric is not computed anew: check what is passed to it.",
            ),
        )


def _same(accuracies: Series, losses: Series, moved: float) -> tuple[float, float, float] | None:
    """Return the accuracy, and the lowest and highest loss beside it; None where it moves or the model knows more."""
    rows, beside = shared_steps(accuracies.steps, losses.steps)
    if len(accuracies) < EVALUATIONS or len(rows) < EVALUATIONS or np.ptp(accuracies.values) > 0:
        return None
    if _of_few_answers(float(accuracies.values[0]), accuracies.rounding):
        return None
    accuracy, loss = float(accuracies.values[0]), losses.values[beside]
    if not 0 < accuracy <= MOST_ACCURATE or (accuracies.decimals is not None and accuracies.decimals < DIGITS):
        return None
    low, high = float(loss.min()), float(loss.max())
    least = -accuracy * log(accuracy) - (1 - accuracy) * log(1 - accuracy)
    return (accuracy, low, high) if high - low >= moved * high and low >= NEAR * least else None


def _of_few_answers(accuracy: float, rounding: float) -> bool:
    """Tell whether an accuracy is k right of n answers, a few; 1 of n is the share of one class among n as well, and is none."""
    from fractions import Fraction  # few logs hold an accuracy that never moves

    share = Fraction(accuracy).limit_denominator(FEW_ANSWERS)
    close = max(rounding, SINGLE) if rounding <= ROUNDED else SINGLE
    return share.numerator > 1 and abs(accuracy - float(share)) <= close
