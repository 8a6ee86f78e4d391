import numpy as np

from lmdiag.figures import figure
from lmdiag.finding import NOT_POSITIVE, Curve, Finding, Findings, NotChecked, Severity, rule, too_few
from lmdiag.run import Run, Series
from lmdiag.stats.limits import MOST_EVALUATIONS
from lmdiag.stats.noise import MEDIAN_ERROR, scatter
from lmdiag.stats.windows import median, medians_around, rolling_median
from lmdiag.task_measures import follows_an_input

EVALUATIONS = 4
ERRORS = 6.0
DEVELOPED = 0.15  # by how much the ratio must have fallen from the first to the last third of the evaluations
APART = 0.3  # nats
SKIPPED = 0.25  # of the run: an average over early steps lags behind


@rule(family="generalization", needs=("evaluation_loss", "loss"), severity=Severity.INFO, min_points=EVALUATIONS)
def check(
    run: Run, evaluation: Curve, training: Series, *, info: float = 0.90, warning: float = 0.75, constant: float = 0.67
) -> Findings:
    """Evaluation loss lies far below training loss.

    ## What it looks for
    A model that does better on text it should not know than on text it was trained on.

    ## How it decides
    The median ratio of evaluation to training loss at the same steps, without the first quarter of the run, is below `info` (0.90) and by six standard
    errors of the training loss below 1. It is a warning below `warning` (0.75) if it also came during the run, falling by 0.15 from the first to the
    last third of the evaluations: the model then knows this set better and better, from where the ratio had come half of that way. A ratio that was there from the first evaluation is a warning below
    `constant` (0.67) where the losses are 0.3 nat apart or more: dropout and an easier set (0.75, beside training text that became a tenth harder) explain less. Otherwise it is information, and so it is where
    the header names label smoothing, which the evaluation leaves out, or transcripts and translations are measured, whose inputs are
    masked and distorted in training.

    ## Why it matters
    The evaluation set may be part of the training data, or the training loss is not what it says: summed over micro-batches, with an
    auxiliary loss, or smoothed.

    ## False alarms it avoids
    The lag of averaged training losses while the loss falls fast; small differences of the two data sets; noise of single batches.

    ## What to try
    Evaluate the model on a batch of the training set, in evaluation mode. Equal to the training loss: the evaluation set is easier or leaked.
    Much lower: dropout, auxiliary terms or the scale of the training loss.

    ## References
    - Lee et al. 2022, Deduplicating training data makes language models better, arXiv:2107.06499: overlap of train and test.
    """
    metric, losses = evaluation
    losses = losses.at(losses.steps >= run.first_step + SKIPPED * (run.last_step - run.first_step)).thinned(
        MOST_EVALUATIONS
    )
    if len(losses) < EVALUATIONS - 1:
        yield too_few(len(losses), "evaluations after the first quarter of the run", EVALUATIONS - 1)
        return
    if len(training) < 2 * EVALUATIONS:
        yield too_few(len(training), "finite values of the loss", 2 * EVALUATIONS)
        return
    if losses.values.min() <= 0:
        yield NOT_POSITIVE
        return
    beside, width = medians_around(losses.steps, training.steps, training.values)
    beside = np.maximum(beside, 1e-12)
    ratios = losses.values / beside
    ratio, third = float(median(ratios)), max(1, len(ratios) // 3)
    came = float(median(ratios[:third]) - median(ratios[-third:]))
    if ratio >= info:
        return
    level = float(median(beside))
    error = MEDIAN_ERROR * scatter(training.values) / np.sqrt(max(width, 1) * len(losses))
    errors = (1 - ratio) * level / max(error, 1e-12)
    if errors < ERRORS:
        return
    if level <= 0.05:
        yield NotChecked("the training loss is too small to compare the evaluation with")
        return
    apart = ratio < constant and (1 - ratio) * level >= APART and not _explained(run)
    grave = apart or (ratio < warning and came >= DEVELOPED)
    since = int(losses.steps[_came_at(ratios, third) if came >= DEVELOPED else 0])
    yield Finding(
        f"{metric} is {ratio:.0%} of the training loss at the typical step "
        f"(medians: {figure(float(median(losses.values)))} and {figure(level)}).",
        since,
        int(losses.steps[-1]),
        metric,
        {"ratio": ratio, "came_in_the_run": came, "training": level, "standard_errors": errors},
        (
            "Evaluate one batch of the training set in evaluation mode. As high as the training loss: the evaluation "
            "set is easier or leaked; much lower: the training loss is scaled.",
            "Check that the training loss is the mean per token: not summed over micro-batches, without auxiliary "
            "terms.",
            "Look for evaluation documents in the training data.",
        ),
        Severity.WARNING if grave else Severity.INFO,
    )


def _came_at(ratios: np.ndarray, third: int) -> int:
    """Return the row from which the ratios stay in the lower half of the way that they came."""
    half = 0.5 * float(median(ratios[:third]) + median(ratios[-third:]))
    above = np.flatnonzero(rolling_median(ratios, 3) > half)
    return min(int(above[-1]) + 2, len(ratios) - 1) if len(above) else 0


def _explained(run: Run) -> bool:
    return bool(run.config.get("label_smoothing")) or follows_an_input(run)
