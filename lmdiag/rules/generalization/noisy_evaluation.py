import numpy as np

from lmdiag.figures import figure
from lmdiag.finding import Curve, Finding, Findings, Severity, rule, too_few
from lmdiag.run import Run
from lmdiag.stats.noise import MEDIAN_ERROR, UNCERTAIN, scatter
from lmdiag.stats.returning import JUMPS_ABOUT, jumps
from lmdiag.stats.windows import median

WILD, WILD_POINTS, LEAST = 2.0, 6, 0.5  # times, from one evaluation to the next; so many in the second half; nats
UNSTEADY, UNSTEADY_POINTS = 0.12, 10  # of the level: healthy runs are simulated with evaluations of up to 0.10
GAINED = 3.0  # standard errors, from the first third to the last


@rule(family="generalization", needs=("evaluation",), severity=Severity.INFO, min_points=6)
def check(run: Run, evaluation: Curve, *, share: float = 0.25, level: float = 0.01, wild: float = WILD) -> Findings:
    """Evaluation loss is too noisy to judge by.

    ## What it looks for
    Evaluations that scatter so much that neither the best checkpoint nor overfitting can be told.

    ## How it decides
    The standard deviation of one evaluation, from second differences so that slope is not taken for noise, is above `share` (a quarter) of all that
    the run improved, and above `level` (1%) of the loss. Below 1% the noise hides nothing that matters.

    It is a warning where the loss doubles or halves from one evaluation to the next: the median change in the second half, of six
    evaluations or more and 0.5 nat or more, is `wild` (twofold), or a quarter of the changes are fourfold and it comes back from two of them. No set of examples is so small; the model is another at every step. So it is where ten evaluations or more scatter by 12% of their level (of few by more, as their scatter is uncertain: 18% of 20), and the
    last third of them is no lower than the first by three standard errors: nothing is gained beyond the noise.

    ## Why it matters
    The checkpoint with the best evaluation is then the luckiest, not the best, and early stopping stops at random.

    ## False alarms it avoids
    Converged runs, whose small changes are noise by nature (the floor of 1%); few evaluations, whose scatter is not known; evaluations that
    rise by more than their noise, where it is not the question.

    ## What to try
    Four times as many evaluation tokens halve the noise. Evaluate on the same examples each time.

    ## References
    - Miller 2024, Adding error bars to evals, arXiv:2411.00640.
    """
    metric, losses = evaluation
    if len(losses) < 6:
        yield too_few(len(losses), "finite evaluations", 6)
        return
    sigma, middle = scatter(losses.values), abs(float(median(losses.values)))
    improved = float(median(losses.values[:2]) - median(losses.values[-3:]))
    times, large = _times(losses.values), jumps(losses.values)
    rises = improved < -2 * sigma and large < JUMPS_ABOUT
    if sigma < level * middle or sigma < share * max(improved, 0.0) or rises or middle == 0:
        return
    needed = (sigma / (0.5 * level * middle)) ** 2
    told = f"it changes {figure(times, 2)}-fold each time, and " if times >= wild else ""
    if not told and large >= JUMPS_ABOUT and median(losses.values) >= LEAST:
        told = f"one change in four of its last half is {figure(large, 2)}-fold or more, and "
    if not told and _gains_nothing(losses.values, sigma):
        told = "nothing is gained from its first third to its last, and "
    fall = f"a median only {figure(improved, 2)} below that of" if improved > 0 else "no lower median than"
    yield Finding(
        f"{metric} scatters by {sigma / middle:.1%} ({figure(sigma, 2)}) from one evaluation to the next, and its "
        f"last 3 values have {fall} its first 2: {told}changes below {figure(3 * sigma, 2)} cannot be told from noise.",
        int(losses.steps[0]),
        int(losses.steps[-1]),
        metric,
        {
            "sigma": sigma,
            "sigma_share": sigma / middle,
            "improvement": improved,
            "detection_limit": 3 * sigma,
        },
        (
            "Evaluate one checkpoint twice: if the two agree, the model itself changes so much. Then lower the learning rate.",
            "Check that the model is in evaluation mode, and its normalisation and masks are those of the training.",
        )
        if told
        else (
            "Evaluate on the same examples each time.",
            f"Evaluate on {figure(needed, 2)} times as many tokens, to bring the noise down to {0.5 * level:.1%}.",
            "Until then, choose a checkpoint by the mean of three evaluations in a row.",
        ),
        Severity.WARNING if told else Severity.INFO,
    )


def _gains_nothing(losses: np.ndarray, sigma: float) -> bool:
    """Tell whether evaluations scatter by more than the fewest examples explain, and end no lower than they began."""
    level, third = float(median(losses)), len(losses) // 3
    least = UNSTEADY * (1 + UNCERTAIN / len(losses))  # the scatter of few is itself uncertain
    if len(losses) < UNSTEADY_POINTS or level < LEAST or sigma < least * level:
        return False
    error = MEDIAN_ERROR * sigma * float(np.sqrt(2 / third))
    return float(median(losses[:third]) - median(losses[-third:])) < GAINED * error


def _times(losses: np.ndarray) -> float:
    """Return by what factor the loss usually changes from one evaluation to the next, in the second half; 0 where that says nothing."""
    late = losses[len(losses) // 2 :]
    if len(late) < WILD_POINTS or late.min() <= 0 or median(late) < LEAST:
        return 0.0
    return float(np.exp(median(np.abs(np.diff(np.log(late))))))
