from lmdiag import advice
from lmdiag.figures import figure
from lmdiag.finding import Curve, Finding, Findings, NotChecked, Severity, rule, too_few
from lmdiag.run import Run, Series
from lmdiag.stats.noise import scatter
from lmdiag.stats.windows import quantile

POINTS = 5
LEAST_NATS, SIGMAS = 0.3, 3.0
NEARLY_ALL = 0.05  # of the records may lie lower by chance


@rule(family="divergence", needs=("loss", "evaluation_loss"), severity=Severity.ERROR, min_points=2)
def check(run: Run, losses: Series, evaluation: Curve, *, least: float = 0.10) -> Findings:
    """Loss is above the first evaluation from its first record on.

    ## What it looks for
    A run that diverged before it wrote its first training loss: the curve itself never rises.

    ## How it decides
    | asks for | why that much |
    |---|---|
    | an evaluation before the first training record | it tells what the loss was at the start |
    | 95% of five training records or more, and every later evaluation, above it by `least` (10%), 0.3 nat and 3 standard deviations | a sum, or other data, would lift one of the two only |

    ## Why it matters
    Every step made the model worse than it was before training.

    ## False alarms it avoids
    Losses summed over a batch, harder training text, overfitting: there only the training loss or only the evaluations
    stand higher.

    ## What to try
    A lower learning rate, a warm-up, clipped gradients; and a record of every step of the first hundred.

    ## References
    - Gilmer et al. 2021, A loss curvature perspective on training instability in deep learning, arXiv:2110.04369.
    """
    metric, evaluations = evaluation
    if len(losses) < POINTS:
        yield too_few(len(losses), "finite values of the loss", POINTS)
        return
    begin = int(losses.steps[0])
    before, later = evaluations.between(-1, begin - 1), evaluations.between(begin, run.last_step)
    if not len(before) or not len(later):
        yield NotChecked("the log has no evaluation before its first training loss and behind it")
        return
    start = float(before.values.min())
    noise = SIGMAS * max(scatter(losses.values), scatter(later.values))
    bar = start + max(LEAST_NATS, least * abs(start), noise)
    if start <= 0 or quantile(losses.values, NEARLY_ALL) < bar or float(later.values.min()) < bar:
        return
    first = int(before.steps[int(before.values.argmin())])
    yield Finding(
        f"{metric} was {figure(start)} at {run.place(first)}; the loss is {figure(float(losses.values[0]))} in its first "
        f"record, {run.place(begin)}, and neither comes back: {metric} is {figure(float(later.values.min()))} at best "
        "from there on.",
        begin,
        int(losses.steps[-1]),
        "loss",
        {"before": start, "first": float(losses.values[0]), "best_later": float(later.values.min())},
        (
            advice.lower_lr(run, begin),
            "Warm up over the first steps of the run.",
            advice.clip(run, begin),
            f"Log every {run.unit} of the first hundred: the onset lies before {run.place(begin)}.",
        ),
    )
