from math import log

import numpy as np

from lmdiag.figures import figure
from lmdiag.finding import NOT_TEXT, Curve, Finding, Findings, NotChecked, Severity, rule, too_few
from lmdiag.run import Run, Series
from lmdiag.stats.windows import block_medians, median

MEANING = {
    "uniform": "guessing every token with equal probability",
    "unigram": "knowing only how often each token occurs",
    "bigram": "knowing only the token before",
}
MARGIN = {
    "uniform": 0.3,
    "unigram": 0.05,
    "bigram": 0.05,
}  # nats; a uniform guess may be missed for long after a bad start
SURE_RECORDS = 20
# Of the run; evaluations there; of their loss; of that of the training
LATE, EVALUATIONS, EVALUATED, TRAINED = 0.4, 3, 0.01, 0.02
EARLY = 0.2  # of the planned steps; of an unplanned run, its first records


@rule(family="data", needs=("curve",), severity=Severity.WARNING, min_points=SURE_RECORDS)
def check(run: Run, curve: Curve) -> Findings:
    """Loss is worse than that of a model without learning.

    ## What it looks for
    A run that ends above the uniform guess, or above counts of tokens or token pairs, whose losses the log may hold.

    ## How it decides
    The median of the last tenth (of the evaluations, if there are three) is compared with the header's `reference_loss`, and with ln V of its vocabulary.
    Above ln V by 0.3 nat, or above the unigram loss by 0.05: a warning. Above the bigram loss by 0.05: information. The 0.05 is for the sampling of the text: a run
    that has learned a first-order source perfectly stands at its bigram loss, a little above or below. Not judged before a fifth of
    the planned steps, and only as information of a loss that still falls, in a run that is not over or by as much as it is above: the evaluations of the last two fifths, if there are three, by 1% from the first to
    the last of them (they are of the same text), else the training loss, by 2% from the fifth before to the last fifth of the records. What is above an evaluation, or a fifth, of before has risen, and does not fall.

    ## Why it matters
    Counting would have been better. Inputs and labels do not belong together, or hardly anything was learned yet.

    ## False alarms it avoids
    Starts, short logs, losses in another unit (composite and reinforcement objectives).

    ## What to try
    Decode inputs and labels of a batch. Compare vocabulary size and tokenizer of the data with those of the model.

    ## References
    - Jelinek & Mercer 1980; Shannon 1951, Prediction and entropy of printed English.
    """
    planned = float(run.config.get("max_steps") or 0)
    if run.objective not in ("causal-lm", "masked-lm"):
        yield NOT_TEXT
        return
    references = _references(run)
    if not references:
        yield NotChecked("the log states neither the size of the vocabulary nor reference losses")
        return
    if run.last_step < EARLY * planned:
        yield NotChecked(f"only {run.last_step / planned:.1%} of the planned steps are done")
        return
    if len(curve.series) < SURE_RECORDS:
        yield too_few(len(curve.series), "finite values of the loss", SURE_RECORDS)
        return
    metric, losses = curve
    if run.evaluation_loss and len(run.evaluation_loss[1].finite) >= 3:
        metric, losses = run.evaluation_loss[0], run.evaluation_loss[1].finite
    last = losses.values[-max(3, len(losses) // 10) :]
    level = float(median(last))
    falls, by = _falls(run, metric, losses, curve.series.values)
    over = run.status == "completed" or 0 < planned <= run.last_step
    what = (
        f"{'The loss' if metric == 'loss' else metric} has a median of {figure(level)} over its last {len(last)} values"
    )
    still = f", although {falls}" if falls else ""
    for name, loss in references.items():
        if level > loss + MARGIN[name]:
            peak = float(run["lr"].finite.values.max(initial=0.0)) if "lr" in run else 0.0
            told = f"{what}, worse than {MEANING[name]} ({figure(loss)}){still}."
            mild = name == "bigram" or (by > 0 and (not over or by >= level - loss))
            yield _finding(told, metric, losses.steps, name, loss, level, mild, peak)
            return


def _references(run: Run) -> dict[str, float]:
    """Return the losses to hold the run against, the most embarrassing first."""
    given = run.config.get("reference_loss")
    known = {
        name: float(given[name])
        for name in MARGIN
        if isinstance(given, dict) and isinstance(given.get(name), (int, float))
    }
    model = run.config.get("model")
    vocabulary = model.get("vocab_size") if isinstance(model, dict) else None
    if "uniform" not in known and isinstance(vocabulary, (int, float)) and vocabulary > 1:
        known = {"uniform": log(vocabulary), **known}
    return {name: known[name] for name in MARGIN if name in known}


def _falls(run: Run, metric: str, losses: Series, values: np.ndarray) -> tuple[str, float]:
    """Say that the loss still falls in the last two fifths of the run, and by how much; "" and 0 where it does not: by the evaluations, if
    there are three, for they are of the same text."""
    late = losses.at(losses.steps >= run.last_step - LATE * (run.last_step - run.first_step))
    if "/" in metric and len(late) >= EVALUATIONS:
        before = losses.values[: len(losses) - len(late) + 1]
        first, end = float(late.values[0]), float(late.values[-1])
        if end > min((1 - EVALUATED) * first, float(before.min())):
            return "", 0.0
        return f"it still fell from {figure(first)} at {run.place(int(late.steps[0]))}", first - end
    fifth = max(1, len(values) // 5)
    last, lowest = float(median(values[-fifth:])), float(block_medians(values[:-fifth], 4)[0].min())
    earlier = float(median(values[-2 * fifth : -fifth]))
    if last >= (1 - TRAINED) * earlier or last > lowest:
        return "", 0.0
    it = "it" if "/" not in metric else "the training loss"
    return f"{it} was lower in the last fifth of the records than in the fifth before", earlier - last


def _finding(
    told: str, metric: str, steps: np.ndarray, name: str, loss: float, level: float, mild: bool, peak: float
) -> Finding:
    rates = f"; if it does, try learning rates ten times larger and smaller (the peak was {figure(peak, 2)})"
    return Finding(
        told,
        int(steps[0]),
        int(steps[-1]),
        metric,
        {"level": level, "reference": loss},
        (
            "Decode inputs and labels of one batch: do they belong together, shifted once?",
            "Compare the vocabulary of the tokenizer with that of the model.",
            f"Overfit one batch: if its loss does not go to zero, the loop is broken{rates if peak > 0 else ''}.",
        ),
        Severity.INFO if mild else Severity.WARNING,
    )
