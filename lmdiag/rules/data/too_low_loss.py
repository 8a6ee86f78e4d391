import numpy as np

from lmdiag.beginning import holds_start
from lmdiag.figures import figure
from lmdiag.finding import BEGINS_LATER, NOT_FROM_SCRATCH, NOT_TEXT, Curve, Finding, Findings, Severity, rule, too_few
from lmdiag.run import Run, Series
from lmdiag.stats.windows import median, quantile, rolling_median
from lmdiag.task_measures import HIGHER_IS_BETTER, OTHER_AIMS, follows_an_input

FROM_SCRATCH = 8.0  # nats at the start: an untrained model over thousands of tokens
LARGEST_START = 14.0
CERTAIN = 0.03  # nats: of 100 tokens all but three are certain; templates of labels come near, text does not
AT_ONCE = 0.2  # of the run: labels of one template are learned as well, but not while most of the data is unseen
NEW = 0.3  # of what text allows, in the first pass: less than half of the 0.7 nats of large models of code
GONE_RECORDS, GONE_FROM = 50, 0.1  # nats in the first record, which may be a mean over what was learned in it
UNTAUGHT = 1.0  # nats at the start: what follows was learnt in this run


@rule(family="data", needs=("curve",), severity=Severity.INFO, min_points=10)
def check(run: Run, curve: Curve, *, lowest: float = 1.0, certain: float = CERTAIN) -> Findings:
    """Loss is lower than text allows.

    ## What it looks for
    A language model that predicts almost every token, also of text it should not know.

    ## How it decides
    The last tenth of the losses has a median below the limit of one of these:

    | run | limit | grade |
    |---|---|---|
    | starts at 8 to 14 nats (the median of its first three records, or beside three evaluations its first if that is more): untrained, with a vocabulary of thousands | `lowest` (1 nat per token; the best models of natural text stand near 1.7) | warning where the last three evaluations have such a median as well: then it is not memorised; information without an evaluation |
    | starts at 1 nat or more and is at a tenth of `lowest` within its first fifth | `certain` (0.03 nat: 97 of 100 tokens), which the evaluations end below | warning |
    | the same, without an evaluation | a tenth of `certain` | information |
    | 0.1 nat or more in the first record, without an evaluation | a tenth of `certain`, as are nine tenths of fifty records or more from the third on | warning |

    Without an evaluation the first pass over the data tells (fractions of passes show it, and no accuracy or F1 says that the answers are labels), for its
    text was new: a warning where its second half has a median below three tenths of `lowest` (large models of code stand near 0.7 nats), or, of a run that
    starts below 8 nats, below a tenth of `certain`. Where such a run is at a tenth of `lowest` within its first fifth and below `certain` in that half, it
    is information: two words that differ in a template of twelve tokens, right in 95%, cost 0.02 nats.

    ## Why it matters
    The labels are visible in the inputs: no causal mask, inputs and targets not shifted, or the evaluation is part of the training data.

    ## False alarms it avoids
    Translations and transcripts, rankings and embeddings (the log has their measures, such as MRR), fine-tuning and small vocabularies (they start below 8 nats), memorised training sets with an honest evaluation, also one that is understood later (evaluations at 1 nat or above when the training
    loss was at a tenth of it), classification, losses of other
    objectives.

    ## What to try
    Generate text from the checkpoint: a model with leaked labels writes nonsense. Change one future token of an input: the outputs before it must not change.

    ## References
    - Hoffmann et al. 2022, Training compute-optimal large language models, arXiv:2203.15556: irreducible loss of text 1.69 nats.
    """
    metric, losses = curve
    if run.objective != "causal-lm" or follows_an_input(run) or any(OTHER_AIMS.search(name) for name in run):
        yield NOT_TEXT
        return
    if len(losses) < 10:
        yield too_few(len(losses), "finite values of the loss", 10)
        return
    start = float(median(losses.values[:3]))
    end = float(median(losses.values[-max(3, len(losses) // 10) :]))
    if end >= lowest:
        return
    if not holds_start(run, losses):
        yield BEGINS_LATER
        return
    evaluations = run.evaluation_loss[1].finite.values if run.evaluation_loss is not None else np.empty(0)
    evaluated = len(evaluations) >= 3
    known = float(median(evaluations[-3:])) if evaluated else np.nan
    unseen = _first_pass(run, losses).values
    alone = not evaluated and len(unseen) >= 3 and not _is_graded(run)
    first = float(median(unseen)) if alone else np.inf
    gone = _gone(losses.values)
    begin = max(start, float(losses.values[0])) if evaluated or gone else start
    scratch = FROM_SCRATCH <= begin <= LARGEST_START
    new = first < (NEW * lowest if scratch else certain / 10)
    if scratch:
        limit = lowest
    elif begin >= UNTAUGHT and evaluated and known < certain and _at_once(run, losses, lowest):
        if not _evaluated_as_low(run, losses, lowest):
            return  # memorised first, and understood later
        limit = certain
    elif (begin >= UNTAUGHT or gone) and not evaluated and end < certain / 10:
        limit = certain / 10
    elif begin >= UNTAUGHT and first < certain and _at_once(run, losses, lowest):
        limit = certain
    else:
        yield NOT_FROM_SCRATCH
        return
    if known >= limit:
        return  # memorised, and the evaluation is honest
    below = int(losses.steps[int(np.argmax(losses.values < limit))])
    if evaluated:
        told = f", and the last three evaluations one of {figure(known, 3)}: no model predicts unseen text so well"
    elif gone:
        told = f", and was below {figure(certain / 10)} in its third: nothing is learned so fast that is not there to be copied, or the same in all batches"
    elif new:
        told = (
            f", and one of {figure(first, 3)} in the second half of its first pass over the data: no model predicts "
            "text that it has not seen so well"
        )
    elif first < certain:
        told = (
            f", and one of {figure(first, 3)} in the second half of its first pass over the data: all answers are of one template, "
            "or the model can see its labels"
        )
    else:
        told = ": the text was memorised, or the model can see its labels"
    yield Finding(
        f"The loss has a median of {figure(end, 3)} nats per token over its last {max(3, len(losses) // 10)} values, after "
        f"{f'{figure(start, 3)} over its first three' if begin == start else f'{figure(begin, 3)} in its first record'}{told}.",
        below,
        int(losses.steps[-1]),
        metric,
        {
            "start": begin,
            "end": end,
            "below_limit_at": below,
            **({"first_pass": first} if new or first < certain else {}),
        },
        (
            "Change one late token of an input: outputs before it must stay the same (causal mask).",
            "Decode inputs and labels of one batch: are the labels shifted by one, once?",
            "Generate text from the checkpoint, and look for evaluation documents in the training data.",
        ),
        Severity.WARNING if evaluated or new or gone else Severity.INFO,
    )


def _gone(values: np.ndarray) -> bool:
    """Tell whether a loss is next to nothing from its third record on, of fifty or more, and was not in its first."""
    if len(values) < GONE_RECORDS or values[0] < GONE_FROM:
        return False
    return max(float(values[2]), float(quantile(values[2:], 0.9))) < CERTAIN / 10


def _is_graded(run: Run) -> bool:
    """Tell whether the answers are graded: labels of a few classes are learned in one pass."""
    return any(HIGHER_IS_BETTER.search(name.rpartition("/")[2]) for name in run.series)


def _at_once(run: Run, losses: Series, lowest: float) -> bool:
    """Tell whether the loss is a tenth of what text allows within the first fifth of the run (medians of three records)."""
    levels = rolling_median(losses.values, 3)
    below = np.flatnonzero(levels < lowest / 10)
    span = max(run.last_step, run.config.get("max_steps") or 0) - run.first_step
    return len(below) > 0 and int(losses.steps[below[0]]) - run.first_step <= AT_ONCE * span


def _evaluated_as_low(run: Run, losses: Series, lowest: float) -> bool:
    """Tell whether the evaluations were low as soon as the training loss was: answers that are seen are seen in both."""
    levels = rolling_median(losses.values, 3)
    since = int(losses.steps[int(np.argmax(levels < lowest / 10))])
    evaluations = run.evaluation_loss[1].finite if run.evaluation_loss is not None else losses
    after = evaluations.values[evaluations.steps >= since]
    return float(median(after[:3])) < lowest


def _first_pass(run: Run, losses: Series) -> Series:
    """Return the losses of the last half of the first pass over the data, where the log tells fractions of passes."""
    passes = run["epoch"].finite if "epoch" in run else losses.at(slice(0, 0))
    first = (
        passes.steps[(passes.values >= 0.5) & (passes.values < 1)] if (passes.values % 1).any() else passes.steps[:0]
    )
    return losses.between(int(first[0]), int(first[-1])) if len(first) else losses.at(slice(0, 0))
