import numpy as np

from lmdiag.figures import figure
from lmdiag.finding import SHAPELESS, Curve, Finding, Findings, NotChecked, Severity, rule, too_few
from lmdiag.metrics import LN2
from lmdiag.patterns import lazy
from lmdiag.run import Run
from lmdiag.stats.alignment import shared_steps
from lmdiag.stats.course import SIGMAS, course
from lmdiag.stats.trend import mann_kendall
from lmdiag.stats.windows import median
from lmdiag.task_measures import grades_whole_answers

ACCURACY = lazy(r"(^|_)acc(uracy)?($|_)")
PAIRS = 10
FEWEST = 6  # records whose ranks show a trend of 2 standard deviations
MARGIN = 0.9  # of the least loss that the accuracy allows: the means of both are over some thousand tokens
BELOW, FALLS, LEAST_FALL = 3, -2.0, 0.05  # records at the end; Mann-Kendall z of loss and accuracy; of the accuracy
SHARE = 0.1  # of the records, and PAIRS of them, must contradict each other: the bound holds for every one
ALWAYS = 0.95  # of the records, the first among them: what was never true is how the loss is counted, and nothing broke


@rule(family="integrity", needs=("curve",), severity=Severity.WARNING, min_points=FEWEST)
def check(run: Run, _: Curve) -> Findings:
    """The accuracy contradicts the loss.

    ## What it looks for
    A loss that is smaller than the accuracy logged beside it allows.

    ## How it decides
    Where the most probable token is not the right one, the right one has at most half of the probability, and costs at least ln 2. So a cross-entropy is at least
    (1 - accuracy) ln 2. It must be below 90% of that in ten records and a tenth of those that have both, of the same set, also where both were rounded for the worst: of language models the loss is mostly three times the bound or more.
    It is information where it is so in the first record and 95% of all: then the scale of the loss is another, and nothing broke.

    A likelihood is never below 0. Where a loss is, in its last three records or more, while it falls and an accuracy, of 0 to 1, falls, by the medians of windows, by 0.05 and three standard errors as well (each with a rank trend of 2 standard deviations),
    what is minimised is no likelihood of the answers.

    ## Why it matters
    The loss was divided once too often (by accumulation steps, devices, or all tokens where the masked ones do not count), is of other tokens than the accuracy, or
    is no cross-entropy. Perplexities of it are too good, and so is every comparison.

    ## False alarms it avoids
    Reinforcement and preference learning, losses of several terms, accuracies above 1 or below 0, losses that are not above 0, accuracies near 1 with few decimals, or 0 in every record, and logs that
    measure whole answers (word and character errors, edit distances, exact matches).

    ## What to try
    Compute both once by hand on one batch. Divide the summed loss by the number of tokens that count, once.

    ## References
    - Fano 1961, Transmission of Information: what an error rate says of an entropy. The bound for one token is that max(p) > 1/2 else.
    """
    found = _no_likelihood(run)
    if found is not None:
        yield found
        return
    if run.objective in SHAPELESS:
        yield NotChecked(f"the objective is {run.objective}: its loss is no cross-entropy")
        return
    if grades_whole_answers(run):
        yield NotChecked("the accuracy may be that of whole answers, which the log measures as well, and not of tokens")
        return
    pairs = run.beside_loss("accuracy")
    if not pairs:
        yield NotChecked("the log has no accuracy beside a loss")
    most = 0
    for name, (accuracies, losses) in pairs.items():
        left, right = shared_steps(accuracies.steps, losses.steps)
        steps, accuracy, loss = losses.steps[right], accuracies.values[left], losses.values[right]
        if not accuracy[np.isfinite(accuracy)].any():  # 0 throughout: it was not computed
            continue
        good = np.isfinite(accuracy) & np.isfinite(loss) & (accuracy >= 0) & (accuracy <= 1) & (loss > 0)
        most = max(most, int(good.sum()))
        if good.sum() < PAIRS:
            continue
        least = (1 - accuracy[good]) * LN2
        wrong = loss[good] + losses.rounding < MARGIN * (least - accuracies.rounding * LN2)
        if wrong.sum() < PAIRS or wrong.mean() < SHARE:
            continue
        times = float(median(least[wrong] / loss[good][wrong]))
        at = int(np.argmax(np.where(wrong, least / loss[good], 0)))
        metric = name.replace("accuracy", "loss")
        always = bool(wrong[0]) and wrong.mean() >= ALWAYS
        scale = " So it is from the first record on: the loss is on another scale, a mean over classes or divided once too often."
        yield Finding(
            f"{metric} and {name} cannot both be right: with {1 - float(accuracy[good][at]):.0%} of the answers wrong, a cross-entropy "
            f"is at least {figure(float(least[at]))} nats, and {figure(float(loss[good][at]))} is logged at "
            f"{run.place(int(steps[good][at]))}.{scale if always else ''}",
            int(steps[good][wrong][0]),
            int(steps[good][wrong][-1]),
            metric,
            {"records": int(wrong.sum()), "share": float(wrong.mean()), "times_too_small": times},
            (
                "Compute both on one batch by hand: is the loss divided twice, by accumulation steps, devices or masked tokens?",
                "Until then quote no perplexity of this loss.",
            ),
            Severity.INFO if always else None,
        )
    if pairs and most < PAIRS:
        yield too_few(most, "records with an accuracy beside a loss", PAIRS)


def _no_likelihood(run: Run) -> Finding | None:
    """Tell of a loss that falls below 0 while an accuracy of the training falls: less of it is no better model."""
    if "loss" not in run or run.kind in ("preference", "reinforcement"):
        return None
    losses = run["loss"].finite
    if len(losses) < FEWEST or losses.values[-BELOW:].max() >= 0 or mann_kendall(losses.values) > FALLS:
        return None
    for name, series in run.series.items():
        scores = series.finite.values
        if "/" in name or not ACCURACY.search(name) or len(scores) < FEWEST or scores.min() < 0 or scores.max() > 1:
            continue
        moved = course(scores)
        best, end = moved.high, moved.end
        if best - end < max(LEAST_FALL, SIGMAS * moved.error) or moved.trend > FALLS:
            continue
        return Finding(
            f"The loss falls below 0, to {figure(float(losses.values[-1]))}, and {name} falls with it, from a median of {figure(best)} to one of "
            f"{figure(end)} at the end: what is minimised is no likelihood of the right answers.",
            int(losses.steps[int(np.argmax(losses.values < 0))]),
            int(losses.steps[-1]),
            "loss",
            {"end": float(losses.values[-1]), "accuracy_before": best, "accuracy": end},
            (
                "Compute the loss of one batch by hand: is its sign right, is it normalised, and are the masked positions left out?",
                "Of a CRF: the score of the right path must be one of those that are summed over.",
            ),
        )
    return None
