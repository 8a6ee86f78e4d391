from collections.abc import Iterator
from fractions import Fraction
from math import log

import numpy as np

from lmdiag.chance import one_class
from lmdiag.figures import figure
from lmdiag.finding import SHAPELESS, Curve, Finding, Findings, NotChecked, Severity, rule, too_few
from lmdiag.naming import evaluation_set
from lmdiag.run import Run, Series
from lmdiag.stats.alignment import shared_steps
from lmdiag.stats.limits import STILL
from lmdiag.stats.repeats import same_answers_by_chance, stands_still

EVALUATIONS = 5
MOSTLY = 2 / 3  # of the evaluations, at the end: a classifier may change its one answer before it settles
DIGITS = 3  # of the accuracy: with fewer, a hundred answers may change unseen
MOST_ACCURATE = 0.98  # above, little is left to answer otherwise
MOSTLY_RIGHT = 0.8  # of the answers, where few evaluations are no proof: a model may have learned so much
HALF = 0.5  # of the answers: a model that knows more may have learned all that it can
FEW_ANSWERS = 64  # as many may be right alike by chance
# So many answers, squared, times the rounding: the shares of more cover over an eighth of all that is printed. And the rounding of single precision
CROWDED, SINGLE = 0.21, 1e-7
GUESSED = 0.03  # of what a guess of the shares costs, by which the loss may differ: evaluations of a thousand answers scatter so
NEAR = 0.9  # of what the shares of right and wrong answers cost who tells no two inputs apart
MOST_CLASSES = 20  # of more, so many values are the F1 of one class that one of them is near
# Evaluations; of either value; changes of one to the other: once is what learning looks like; answers: of seven or fewer two shares recur by chance
OF_TWO, EACH, TURNS, FEWEST_OF_TWO = 8, 2, 2, 8
ADVICE = (
    "Count the predictions of one evaluation by class: is there more than one?",
    "If not, weigh the classes or sample them equally, and check that labels and inputs belong together.",
    "If so, the metric is not computed anew: check what is passed to it.",
)


@rule(family="convergence", needs=("curve",), severity=Severity.WARNING, min_points=one_class.FEWEST)
def check(run: Run, curve: Curve, *, moved: float = 0.03) -> Findings:
    """Accuracy is that of one answer in every evaluation.

    ## What it looks for
    A classifier that gives every input the same answer, mostly that of the largest class.

    ## How it decides
    Of the accuracy a of an evaluation set, above 0 and up to 0.98, one of these holds in all evaluations (where it is the same: in all, or in the last two thirds and more).

    | test | asks for | why that much |
    |---|---|---|
    | the same, while the loss moves | five, to the last of three digits or more; the loss of the same set changes by `moved` (3%), and is never less than 90% of the entropy of right and wrong answers, -a ln a - (1 - a) ln(1 - a) | a model that tells inputs apart pays less |
    | the same, at the cost of a guess | five, as above; without its first third the loss of the same set is within 3% of that entropy | of two classes the shares are known, and nothing else |
    | the same, beside a training that learns no more | three, over two passes or 500 steps of a log that holds the start of its run and does not end in warm-up; their losses within 3% of each other and at 90% of that entropy or above; the training loss within 5% of them, its first record at most 5% above its end, the rest at most 1%, noise of 2% at most; the accuracy of the training within 0.05 and no more than 0.02 better at the end | four measures that agree; of few answers, as below, and above 0.8, five evaluations; none where the evaluation loss falls by 1% |
    | the same, and the F1 of one class | five, the F1 to the last of three digits or more; it is 2a / (1 + a) of the class, divided by up to 20 classes, or weighted by a, or 0 | nothing else than one answer makes both; of the other class none is right |
    | the same to all answers | an accuracy of one half or less, so often that chance does it in one log in a million: in one evaluation of a thousand answers where half are wrong five or more change, and as many are right again with probability 0.18 (of 431 answers 0.27, which asks for 12 evaluations); the curve changes by `moved` | what a loss below 0 costs cannot be told, and the evaluation may have none |
    | two values that add up to 1 | eight or more evaluations, either value twice or more, that change at least twice, of eight answers or more; of 64 or fewer, further from one half than their chance, a standard deviation | of two classes now the one, now the other is answered throughout |

    ## Why it matters
    The accuracy is the share of one class. The loss falls only because that share is learned.

    ## False alarms it avoids
    Small sets whose accuracy repeats itself: one that is k of 64 answers or fewer (0.7188 is 23 of 32; of 20 where three digits are printed), the share of one in as many classes apart; good models, whose loss is lower; accuracies of 0, which were not computed; those of a baseline or a teacher, which are not trained; preference and
    reinforcement learning. Few answers are no matter where the F1 says the same.

    ## What to try
    Count the predictions of one evaluation by class. Weigh the classes or sample them equally, lower the learning rate, train the head longer; check that
    the labels belong to their inputs.

    ## References
    - Cover and Thomas 2006, Elements of Information Theory, theorem 2.6.5: a guess without the input costs the entropy of the answers.
    """
    if (run.objective in SHAPELESS and run.objective != "signed") or run.kind == "preference":
        yield NotChecked("its accuracy is that of pairs or of a policy, not of answers")
        return
    evaluated = {n: s.finite for n, s in run.series.items() if n.endswith("/accuracy") and evaluation_set(n)}
    if not evaluated:
        yield NotChecked("the log has no accuracy of an evaluation set")
        return
    longest = max(map(len, evaluated.values()))
    told = {found.metric: found for found in _beside_training(run, curve)}
    if longest < EVALUATIONS and not told:
        yield too_few(longest, "finite accuracies of one evaluation set", EVALUATIONS)
        return
    told |= {found.metric: found for found in _to_all_answers(run, curve, evaluated, moved)}
    told |= {found.metric: found for found in (*_while_the_loss_moves(run, moved), *_of_one_class(run, evaluated))}
    yield from told.values()


def _beside_training(run: Run, curve: Curve) -> Iterator[Finding]:
    """Tell of a few evaluations of one accuracy beside a training that has learned no more than that, either."""
    pairs = {name: pair for name, pair in run.beside_loss("accuracy").items() if name != "accuracy"}
    for name, (accuracies, losses) in pairs.items() if curve.metric == "loss" else ():
        values = accuracies.finite.values
        if len(values) < one_class.FEWEST or np.ptp(values) > 0 or not _may_be_one_class(accuracies):
            continue
        accuracy, evaluated = float(values[0]), losses.finite
        few = len(values) < EVALUATIONS and (accuracy > MOSTLY_RIGHT or _of_few_answers(accuracy, accuracies.rounding))
        if few or not one_class.agrees(run, curve.series, evaluated, accuracy):
            continue
        falls = float(evaluated.values[0] - evaluated.values[-1]) >= STILL * abs(float(evaluated.values[-1]))
        low, high = float(evaluated.values.min()), float(evaluated.values.max())
        if falls or low < NEAR * _cost(accuracy):
            continue
        yield Finding(
            f"{name} is {figure(accuracy, 4)} in all {len(values):,} evaluations, the loss beside it from {figure(low)} to {figure(high)}, and the training loss, "
            "as high, falls no more: nothing is learned but how often each class occurs.",
            int(accuracies.steps[0]),
            int(accuracies.steps[-1]),
            name,
            {"accuracy": accuracy, "lowest_loss": low, "highest_loss": high},
            ADVICE,
        )


def _may_be_one_class(accuracies: Series) -> bool:
    """Tell whether the first accuracy leaves something to learn, and is printed with enough digits to show it."""
    return 0 < accuracies.finite.values[0] <= MOST_ACCURATE and (
        accuracies.decimals is None or accuracies.decimals >= DIGITS
    )


def _cost(accuracy: float) -> float:
    """Return what a guess of the shares of right and wrong answers costs."""
    return -accuracy * log(accuracy) - (1 - accuracy) * log(1 - accuracy)


def _while_the_loss_moves(run: Run, moved: float) -> Iterator[Finding]:
    pairs = {name: pair for name, pair in run.beside_loss("accuracy").items() if name != "accuracy"}
    for name, (accuracies, losses) in pairs.items():
        series = accuracies.finite
        apart = _begins(series.values)
        found = _same(series.at(slice(apart, None)), losses.finite, moved)
        if found is None:
            continue
        accuracy, low, high = found
        steps = series.steps[apart:]
        often = f"{len(steps):,} evaluations{' behind the first' if apart == 1 else f' behind the first {apart}' if apart else ''}"
        yield Finding(
            f"{name} is {figure(accuracy, 4)} in all {often}, while the loss beside it is from "
            f"{figure(low)} to {figure(high)}: the same answers are right each time, as where every input gets the answer of one class.",
            int(steps[0]),
            int(steps[-1]),
            name,
            {"accuracy": accuracy, "lowest_loss": low, "highest_loss": high},
            ADVICE,
        )


def _begins(values: np.ndarray) -> int:
    """Return behind how many values the rest is the same; 0 where that rest is short, which is then not the same as all."""
    changes = np.flatnonzero(np.diff(values))
    apart = int(changes[-1]) + 1 if len(changes) else 0
    return apart if len(values) - apart >= max(EVALUATIONS, MOSTLY * len(values)) else 0


def _to_all_answers(run: Run, curve: Curve, evaluated: dict[str, Series], moved: float) -> Iterator[Finding]:
    """Tell of accuracies of half or less that repeat more often than the answers of a model that trains can."""
    for name, accuracies in evaluated.items():
        accuracy = float(accuracies.values[-1]) if len(accuracies) else 0.0
        loss = (
            curve.series.between(int(accuracies.steps[0]), int(accuracies.steps[-1])).values
            if accuracy
            else np.empty(0)
        )
        by_chance = same_answers_by_chance(accuracy, accuracies.rounding)
        if not 0 < accuracy <= HALF or not stands_still(accuracies.values, by_chance) or len(loss) < EVALUATIONS:
            continue
        first, last = float(loss[0]), float(loss[-1])
        if abs(last - first) < moved * max(abs(first), abs(last)):
            continue
        yield Finding(
            f"{name} is {figure(accuracy, 4)} in all {len(accuracies):,} evaluations, to the last digit, while the loss goes from "
            f"{figure(first)} to {figure(last)}: the same answers are right each time, as where every input gets the answer of one class.",
            int(accuracies.steps[0]),
            int(accuracies.steps[-1]),
            name,
            {"accuracy": accuracy},
            ADVICE,
        )


def _of_one_class(run: Run, evaluated: dict[str, Series]) -> Iterator[Finding]:
    """Tell of accuracies that no loss needs to stand beside: with the F1 of one class, or of two classes in turn."""
    for name, accuracies in evaluated.items():
        scores = run.series.get(f"{name.rpartition('/')[0]}/f1")
        if scores is not None and _is_of_one_class(accuracies, scores.finite):
            accuracy, score = float(accuracies.values[-1]), float(scores.finite.values[-1])
            message = (
                f"{name} is {figure(accuracy, 4)} and the F1 beside it {figure(score, 4)} in all {len(accuracies):,} evaluations: "
                "so it is where every input gets the answer of one class."
            )
            evidence = {"accuracy": accuracy, "f1": score}
        elif _takes_turns(accuracies):
            low, high = float(accuracies.values.min()), float(accuracies.values.max())
            message = (
                f"{name} is {figure(low, 4)} or {figure(high, 4)} in all {len(accuracies):,} evaluations, which add up to 1: "
                "of two classes now the one, now the other is the answer to every input."
            )
            evidence = {"lowest": low, "highest": high}
        else:
            continue
        yield Finding(message, int(accuracies.steps[0]), int(accuracies.steps[-1]), name, evidence, ADVICE)


def _is_of_one_class(accuracies: Series, scores: Series) -> bool:
    """Tell whether an accuracy and an F1 never move, and the one follows from the other where all answers are of one class."""
    few = min(len(accuracies), len(scores)) < EVALUATIONS
    if few or np.ptp(accuracies.values) > 0 or np.ptp(scores.values) > 0:
        return False
    accuracy, score = float(accuracies.values[0]), float(scores.values[0])
    if not 0 < accuracy <= MOST_ACCURATE or (scores.decimals is not None and scores.decimals < DIGITS):
        return False
    if score == 0:  # of the smaller class no answer is right, for none is given
        return True
    of_class = 2 * accuracy / (1 + accuracy)
    close = max(3 * scores.rounding, SINGLE)  # one program prints both, and 0.6500 is 0.65
    shares = (of_class / classes for classes in range(1, MOST_CLASSES + 1))
    return any(abs(score - share) <= close for share in (accuracy * of_class, *shares))


def _takes_turns(accuracies: Series) -> bool:
    """Tell whether an accuracy takes two values only, which add up to 1: the shares of two classes."""
    values, often = np.unique(accuracies.values, return_counts=True)
    if len(values) != 2 or len(accuracies) < OF_TWO or often.min() < EACH or values[1] > MOST_ACCURATE:
        return False
    if np.count_nonzero(np.diff(accuracies.values)) < TURNS:
        return False
    close = max(2 * accuracies.rounding, SINGLE)
    if abs(values.sum() - 1) > close:
        return False
    share = Fraction(float(values[0])).limit_denominator(FEW_ANSWERS)
    if abs(float(values[0]) - float(share)) > close:
        return True
    answers = share.denominator
    return answers >= FEWEST_OF_TWO and answers / 2 - share.numerator > answers**0.5 / 2


def _same(accuracies: Series, losses: Series, moved: float) -> tuple[float, float, float] | None:
    """Return the accuracy, and the lowest and highest loss beside it; None where it moves or the model knows more."""
    rows, beside = shared_steps(accuracies.steps, losses.steps)
    if len(accuracies) < EVALUATIONS or len(rows) < EVALUATIONS or np.ptp(accuracies.values) > 0:
        return None
    if _of_few_answers(float(accuracies.values[0]), accuracies.rounding):
        return None
    accuracy, loss = float(accuracies.values[0]), losses.values[beside]
    if not _may_be_one_class(accuracies):
        return None
    low, high, least = float(loss.min()), float(loss.max()), _cost(accuracy)
    told = high - low >= moved * high and low >= NEAR * least
    return (accuracy, low, high) if told or _costs_the_guess(losses.values[beside], least) else None


def _costs_the_guess(losses: np.ndarray, guess: float) -> bool:
    """Tell whether a loss settles where guessing the shares of right and wrong answers is: then nothing of an input is known."""
    settled = losses[len(losses) // 3 :]
    return bool((np.abs(settled - guess) <= GUESSED * guess).all())


def _of_few_answers(accuracy: float, rounding: float) -> bool:
    """Tell whether an accuracy is k right of n answers, a few; 1 of n is the share of one class among n as well, and is none."""
    told = min(FEW_ANSWERS, int((CROWDED / max(rounding, SINGLE)) ** 0.5))
    shares = (
        (Fraction(accuracy).limit_denominator(most), close) for most, close in ((FEW_ANSWERS, SINGLE), (told, rounding))
    )
    return any(share.numerator > 1 and abs(accuracy - float(share)) <= close for share, close in shares)
