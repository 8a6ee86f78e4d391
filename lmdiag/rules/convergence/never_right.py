from collections.abc import Iterator

import numpy as np

from lmdiag import advice
from lmdiag.beginning import holds_start, outlasts_warm_up
from lmdiag.figures import figure
from lmdiag.finding import SHAPELESS, Curve, Finding, Findings, NotChecked, Severity, rule, too_few
from lmdiag.patterns import lazy
from lmdiag.run import Run, Series
from lmdiag.stats.limits import LEARNS, STILL
from lmdiag.stats.trend import mann_kendall
from lmdiag.stats.windows import median

EVALUATIONS, FEWEST_RANKED = 5, 4
# Evaluations; steps from the first record to the last, beside a loss that is no lower than at first; spread of the losses of evaluations that stay
FEW, LEAST_SPAN, ALIKE = 3, 100, 0.03
WORD = r"(?i)(?:^|[_ .-])(?:{})(?:$|[_ .-])"
OF_ANSWERS = r"f1|f1[_-]?score|ents_f|bleu|sacrebleu|mcc|matthews_correlation"
ERRORS, SCORES = lazy(WORD.format("wer|cer|ter|ser")), lazy(WORD.format(OF_ANSWERS))
# What answers of some worth show in. Not the accuracy of tokens, which is that of the largest class
ANSWERED = lazy(WORD.format(rf"{OF_ANSWERS}|rouge\w*|exact_match|em"))
OF_TRAINING = lazy(r"(?i)(?:^|[/_ .-])train(?:ing)?(?:$|[/_ .-])")
OF_A_SET = lazy(r"(?i)/|(?:^|[_ .-])(?:train|training|dev|val|valid|validation|eval|test)(?:$|[_ .-])")
ALL, OF_A_HUNDRED = 1.0, 100.0
NEARLY = 0.95  # of all words, in each evaluation; their median is at `wrong`
# Epochs; of all answers; by how much their share moves; of the levels of evaluation and training loss
PASSES, HARDLY, MOVED, SAME, FALLS = 4, 0.1, 0.02, 0.01, 0.05
ANSWERS = ("accuracy", "f1")
MULTIPLE = 2.0  # of what was right behind the first pass: that is learning, however little it is
SOME = 0.1  # of all answers, or fewer errors than all but so many: another measure that is good says that the model answers
LATE_STEP, LATE_EPOCH = 10_000, 10  # a log that begins there: what is learned at first is long learned


@rule(family="convergence", needs=("curve",), severity=Severity.WARNING, min_points=FEW)
def check(run: Run, curve: Curve, *, wrong: float = 0.98) -> Findings:
    """Hardly an answer is right in any evaluation, and the loss falls no more.

    ## What it looks for
    An error rate that stays at 100%, or an F1, BLEU or Matthews correlation that stays at 0: a recogniser that prints nothing, a tagger that finds nothing. Or a few passes over the data
    behind which nine answers in ten are still wrong.

    ## How it decides
    A measure of the task is at its worst in five evaluations or more, and the loss does not fall in its last half; in three, where the loss ends no lower than it began or the evaluations stay;
    or what the last row of the table says.
    Lines without a step, an epoch or a set may be those of single answers, and are left alone.

    | test | asks for | why that much |
    |---|---|---|
    | error rate of words, characters, tokens or sentences | in percent: 95 or more in each, the median `wrong` (98%) or more | insertions put it above 100, a blank answer at 100 |
    | | as a share: 0.95 or more in each, the median exactly 1 | a rate of 0.97% is a good one, and one of exactly 1 in half of all is none |
    | F1, BLEU, Matthews correlation | exactly 0 in each | one right answer is more; a correlation of exactly 0 is that of one answer to all |
    | the loss falls no more | its last half gains under 1%, or has four values and no rank trend (z above -1.5) | a recogniser prints blanks for its first epochs, while its loss falls |
    | | or, of three evaluations, 100 steps or epochs from the first record of the run on, the last record and the median of the last quarter are no lower than the first record, and the evaluation loss does not fall by 1% | even a recogniser that prints blanks loses less than an untrained one |
    | | or the losses of all three evaluations or more are within 3%, the last less than 1% below the first, over two passes or 500 steps of a log that does not end in warm-up | the loss of a recogniser that will print words goes on to fall |
    | | or the log begins at step 10,000 or epoch 10 | the same blanks are long overcome |
    | passes in vain | the first four epochs or more: accuracy or F1 below 0.1 in the training and in the evaluation set, none of them moves by 0.02; all evaluation losses within 1%, and a training loss that falls by less than 5%; no accuracy or F1 doubles, and neither both losses fall nor all of these rise in each epoch | four measures that agree: what was learned at once answers more, what is learned slowly moves one of them |

    ## Why it matters
    What the model is trained for does not come about, whatever its loss says.

    ## False alarms it avoids
    The first epochs of a recogniser; rates in percent that are near 1; one measure of several, such as the words of a script without spaces or a class that is not in the
    set, where another one that is not of the training set (an error rate below 90%, an F1, BLEU, ROUGE or exact match above 0.1) is good; whole answers, of which small models get none; preference and reinforcement learning.

    ## What to try
    Print a few answers beside their targets. If they are empty, lower the learning rate and warm up longer, and check that inputs are longer than
    their targets; if they are full, compare the units of both sides (vocabulary, normalisation, blanks), and how the measure is computed.

    ## References
    - Graves et al. 2006, Connectionist temporal classification: the blank label is learned first.
    """
    if run.objective in SHAPELESS:
        yield NotChecked("its answers are not compared with targets")
        return
    # Without a step, an epoch or a set, the lines may be those of single answers, the worst first
    counted = run.step_kind != "record"
    measured = {
        name: s.finite for name, s in run.series.items() if _is_measure(name) and (counted or OF_A_SET.search(name))
    }
    in_vain = _passes_in_vain(run, curve)
    if in_vain is not None:
        yield in_vain
        return
    longest, losses = max(map(len, measured.values()), default=0), curve[1].finite
    fewest = FEW if _gains_nothing(run, losses) else EVALUATIONS
    if longest < fewest:
        yield too_few(longest, "finite error rates or scores of one set", fewest)
        return
    for name, values in _at_their_worst(measured, wrong, fewest):
        stays = fewest == FEW or _stays(losses.values)
        if not (stays or _begins_late(run, values)) or _answers(run, name):
            continue
        yield _finding(
            name,
            values,
            "and the loss falls no more"
            if stays
            else f"from {run.place(int(values.steps[0]))} on, where this log begins",
        )
        return


def _passes_in_vain(run: Run, curve: Curve) -> Finding | None:
    """Tell of epochs behind which hardly an answer is right, of those that were trained on either, and no loss falls."""
    metric, losses = curve
    if run.evaluation_loss is None or metric != "loss" or run.step_kind != "epoch" or not holds_start(run, losses):
        return None
    name, evaluations = run.evaluation_loss[0], run.evaluation_loss[1].finite.values
    scores = {score: run[score].finite.values for score in run if score.rpartition("/")[2] in ANSWERS}
    of_both = {"/" in score for score, values in scores.items() if len(values) >= PASSES} == {True, False}
    if not of_both or min(len(losses), len(evaluations)) < PASSES:
        return None
    answers = np.concatenate(list(scores.values()))
    if not 0 < answers.max() < HARDLY or any(np.ptp(values) >= MOVED for values in scores.values() if len(values)):
        return None
    first, last = float(losses.values[0]), float(losses.values[-1])
    if np.ptp(evaluations) >= SAME * abs(float(evaluations[-1])) or first - last >= FALLS * abs(first):
        return None
    if _learns([losses.values, evaluations], [values for values in scores.values() if len(values) >= PASSES]):
        return None
    score = next(score for score in scores if "/" in score)
    return Finding(
        f"{score} is between {figure(float(scores[score].min()), 4)} and {figure(float(scores[score].max()), 4)} in {len(scores[score]):,} evaluations, of the training "
        f"set no answer in ten is right either, and {name} stays between {figure(float(evaluations.min()))} and {figure(float(evaluations.max()))}: "
        "the passes over the data teach nothing.",
        int(losses.steps[0]),
        int(losses.steps[-1]),
        score,
        {
            "lowest": float(scores[score].min()),
            "highest": float(scores[score].max()),
            "evaluations": len(scores[score]),
        },
        (
            "Overfit one batch: if its loss does not go to zero, the loop is broken, not the settings.",
            advice.labels(run),
            "Then try learning rates a factor of ten apart, both ways.",
        ),
    )


def _learns(losses: list[np.ndarray], scores: list[np.ndarray]) -> bool:
    """Tell whether little is learned, but something: one score has doubled, or in each pass all losses fall, or all scores rise."""
    doubled = any(values[-1] > MULTIPLE * values[0] for values in scores)
    return doubled or all((np.diff(s) < 0).all() for s in losses) or all((np.diff(s) > 0).all() for s in scores)


def _answers(run: Run, name: str) -> bool:
    """Tell whether another measure of the task, not of the training set, ends where answers are right."""
    beside = (other for other in run.series if ("/" in other or "/" not in name) and not OF_TRAINING.search(other))
    return any(_is_good(other.rpartition("/")[2], run[other].finite.values) for other in beside)


def _is_good(measure: str, values: np.ndarray) -> bool:
    last = float(median(values[-3:])) if len(values) else 0.0
    if ERRORS.search(measure):  # a share, or in percent
        return 0 < last < ALL - SOME or 2 * ALL < last < (ALL - SOME) * OF_A_HUNDRED
    return ANSWERED.search(measure) is not None and last > SOME


def _is_measure(name: str) -> bool:
    measure = name.rpartition("/")[2]
    return bool(ERRORS.search(measure) or SCORES.search(measure))


def _gains_nothing(run: Run, losses: Series) -> bool:
    """Tell whether a log holds the start of its run, and patience is no reason: its loss ends no lower than it began, or the evaluations stay where the first was."""
    if len(losses) < FEW or not holds_start(run, losses) or run.step_kind == "record":
        return False
    evaluated = run.evaluation_loss[1].finite.values if run.evaluation_loss else np.empty(0)
    if len(evaluated) > 1 and evaluated[0] - evaluated[-1] >= STILL * abs(evaluated[-1]):
        return False
    values, quarter = losses.values, max(1, len(losses) // 4)
    span = int(losses.steps[-1] - losses.steps[0])
    if (run.step_kind != "step" or span >= LEAST_SPAN) and min(median(values[-quarter:]), values[-1]) >= values[0] > 0:
        return True
    if len(evaluated) < FEW or not outlasts_warm_up(run, losses):
        return False
    first, last = float(evaluated[0]), float(evaluated[-1])
    return first - last < STILL * abs(last) and float(np.ptp(evaluated)) < ALIKE * abs(last)


def _at_their_worst(measured: dict[str, Series], wrong: float, fewest: int) -> Iterator[tuple[str, Series]]:
    for name, series in measured.items():
        if len(series) >= fewest:
            values = series.values
            of_errors = ERRORS.search(name.rpartition("/")[2]) is not None
            if _all_wrong(values, wrong) if of_errors else not values.any():
                yield name, series


def _all_wrong(values: np.ndarray, wrong: float) -> bool:
    low, middle = float(values.min()), float(median(values))
    in_percent = low >= NEARLY * OF_A_HUNDRED and middle >= wrong * OF_A_HUNDRED
    return in_percent or (low >= NEARLY and middle == ALL)


def _stays(losses: np.ndarray) -> bool:
    half = losses[len(losses) // 2 :]
    still = float(half[0] - half[-1]) < STILL * abs(float(median(half)))
    return still or (len(half) >= FEWEST_RANKED and mann_kendall(half) > LEARNS / 2)


def _begins_late(run: Run, values: Series) -> bool:
    return int(values.steps[0]) >= (LATE_EPOCH if run.step_kind == "epoch" else LATE_STEP)


def _finding(name: str, series: Series, beside: str) -> Finding:
    low, high = float(series.values.min()), float(series.values.max())
    said = f"is {figure(low, 4)}" if low == high else f"is between {figure(low, 4)} and {figure(high, 4)}"
    wrong = high > 0
    what = "hardly a word is right" if wrong else "nothing is found, or the measure is not computed"
    return Finding(
        f"{name} {said} in all {len(series):,} values, {beside}: {what}.",
        int(series.steps[0]),
        int(series.steps[-1]),
        name,
        {"lowest": low, "highest": high, "evaluations": len(series)},
        (
            "Print a few answers of one evaluation beside their targets: are they empty, or in other units than the targets?",
            "If they are empty, lower the learning rate and warm up longer, and check that no input is shorter than its target.",
            "If they are not, check how the measure is computed: vocabulary, normalisation, and what it is given.",
        ),
    )
