from lmdiag import advice
from lmdiag.beginning import holds_start
from lmdiag.figures import figure
from lmdiag.finding import Curve, Finding, Findings, NotChecked, Severity, rule, too_few
from lmdiag.run import Run, Series
from lmdiag.stats.noise import scatter
from lmdiag.stats.windows import median, quantile

POINTS = 5
LEAST_NATS, SIGMAS = 0.3, 3.0
NEARLY_ALL = 0.05  # of the records may lie lower by chance
MANY, EVALUATIONS = 50, 2  # records, of which the first is the lowest by chance once in so many; evaluations that agree
IN_WARM_UP = 0.1  # of the peak: too high a rate shows later
COUNTED_UP = 5.0  # times the first record: a running mean that begins at 0 stands so far above it


@rule(family="divergence", needs=("loss", "evaluation_loss"), severity=Severity.ERROR, min_points=2)
def check(run: Run, losses: Series, evaluation: Curve, *, least: float = 0.10) -> Findings:
    """Loss is above where it began from its first records on.

    ## What it looks for
    A run that diverged before its first training loss, or right behind it: the curve itself shows no rise, or of one record only.

    ## How it decides
    | asks for | why that much |
    |---|---|
    | an evaluation before the first training record, and 95% of five training records or more, and every later evaluation, above it by `least` (10%), 0.3 nat and 3 standard deviations | the evaluation tells what the loss was at the start; a sum, or other data, would lift one of the two only |
    | no such evaluation, but a log that holds the start of its run: all of 49 later records or more, and two later evaluations or more, above the first record by `least` and 0.3 nat, their median up to five times as high | by chance the first of 50 alike records is the lowest once in 50 |

    ## Why it matters
    Every step made the model worse than it was before training.

    ## False alarms it avoids
    Losses summed over a batch, harder training text, overfitting: there only the training loss or only the evaluations
    stand higher. Running means that begin at 0.

    ## What to try
    The signs of loss and update, where the rate was a tenth of its peak or less. A lower learning rate, a warm-up, clipped gradients; and a record of every step of the first hundred.

    ## References
    - Gilmer et al. 2021, A loss curvature perspective on training instability in deep learning, arXiv:2110.04369.
    """
    metric, evaluations = evaluation
    if len(losses) < POINTS:
        yield too_few(len(losses), "finite values of the loss", POINTS)
        return
    begin = int(losses.steps[0])
    before = evaluations.between(-1, begin - 1)
    later = evaluations.between(begin if len(before) else begin + 1, run.last_step)
    if len(before) and len(later):
        yield from _before_the_records(run, losses, metric, before, later, least)
    elif len(before) or len(losses) < MANY or len(later) < EVALUATIONS or not holds_start(run, losses):
        yield NotChecked(
            "the log has no evaluation before its first training loss and behind it, nor 50 records from the start of its run on"
        )
    else:
        yield from _behind_the_first(run, losses, metric, later, least)


def _before_the_records(run: Run, losses: Series, metric: str, before: Series, later: Series, least: float) -> Findings:
    """Tell of records and evaluations that all lie above the evaluation before them."""
    begin, start = int(losses.steps[0]), float(before.values.min())
    noise = SIGMAS * max(scatter(losses.values), scatter(later.values))
    bar = start + max(LEAST_NATS, least * abs(start), noise)
    if start <= 0 or quantile(losses.values, NEARLY_ALL) < bar or float(later.values.min()) < bar:
        return
    first = int(before.steps[int(before.values.argmin())])
    yield _finding(
        run,
        losses,
        begin,
        f"{metric} was {figure(start)} at {run.place(first)}; the loss is {figure(float(losses.values[0]))} in its first "
        f"record, {run.place(begin)}, and neither comes back: {metric} is {figure(float(later.values.min()))} at best "
        "from there on.",
        {"before": start, "first": float(losses.values[0]), "best_later": float(later.values.min())},
        f"Log every {run.unit} of the first hundred: the onset lies before {run.place(begin)}.",
    )


def _behind_the_first(run: Run, losses: Series, metric: str, later: Series, least: float) -> Findings:
    """Tell of a first record that is the lowest by far: of all records and evaluations."""
    start, rest = float(losses.values[0]), losses.values[1:]
    lowest, best, begin = float(rest.min()), float(later.values.min()), int(losses.steps[1])
    bar = start + max(LEAST_NATS, least * abs(start))
    if start <= 0 or min(lowest, best) < bar or float(median(rest)) > COUNTED_UP * start:
        return
    yield _finding(
        run,
        losses,
        begin,
        f"The loss was {figure(start)} in its first record, {run.place(int(losses.steps[0]))}, is {figure(float(rest[0]))} in the next, "
        f"{run.place(begin)}, and never comes back: it is {figure(lowest)} at best from there on, and {metric} {figure(best)}.",
        {"first": start, "lowest_later": lowest, "best_later": best},
    )


def _finding(run: Run, losses: Series, begin: int, message: str, evidence: dict[str, float], *more: str) -> Finding:
    return Finding(
        message,
        begin,
        int(losses.steps[-1]),
        "loss",
        evidence,
        (
            *_whose_sign(run, begin),
            advice.lower_lr(run, begin),
            "Warm up over the first steps of the run.",
            advice.clip(run, begin),
            *more,
        ),
    )


def _whose_sign(run: Run, begin: int) -> tuple[str, ...]:
    """Say to look at the sign of the update where the loss rises at a rate that is still next to nothing of its peak."""
    lr = run.value_at("lr", begin)
    peak = float(run["lr"].finite.values.max(initial=0.0)) if "lr" in run else 0.0
    if lr is None or not 0 < lr <= IN_WARM_UP * peak:
        return ()
    return (
        f"Check the signs of loss and update: the loss is higher from {run.place(begin)} on, at a rate of {figure(lr, 3)}, "
        f"{lr / peak:.0%} of its peak.",
    )
