import numpy as np

from lmdiag import advice
from lmdiag.figures import figure
from lmdiag.finding import Curve, Finding, Findings, NotChecked, Severity, rule, too_few
from lmdiag.run import Run, Series
from lmdiag.stats.limits import LONGEST
from lmdiag.stats.returning import begins_again, started_anew

FEWEST = 6  # losses in a row of four digits come again by chance once in 10^24 logs
SAME, OF_MANY = 4, 10  # records in all that are the same loss
SAME_OF_SIX, SIX = 3, 6  # and digits of the shortest log: a metric that stands at its bound, or nothing is computed
# Digits of that loss, in as many records: other batches, and what a step changes, show in the last of them.
DIGITS, OF_MANY_DIGITS = 4, 3
LEAST = 0.05  # nats: what was learned by heart is rounded to the same digits
SHARE = 0.3  # of the log: what comes again once, after a resume, is `replayed-data` or `step-rewind`
STARTED = ", and they fall: the run was started again with the same seed."
ONE_LOG_EACH = ("Give each start a log of its own: the second pass is the first one over again.",)


@rule(family="convergence", needs=("curve",), severity=Severity.WARNING, min_points=SAME_OF_SIX)
def check(run: Run, curve: Curve, *, fewest: int = FEWEST, share: float = SHARE) -> Findings:
    """The first losses come again, digit for digit.

    ## What it looks for
    A run that goes through the same batches more than once and loses exactly the same on them.

    ## How it decides
    | test | asks for | why that much |
    |---|---|---|
    | repeated | the losses from some record to the end of the log are exactly the first ones | the same batches under the same weights |
    | | `fewest` (6) records or more, with as many different values, and `share` (30%) of the log | so many equal to the last digit are no chance, nor one stretch that a resume repeated |
    | all the same | the log is one loss of 0.05 or more: four records of four digits, ten of three, three of six at steps that are logged; no evaluation moves | batches differ, and so do epochs in which anything is learned |

    Where the repeated losses fall (a rank trend of 3 standard deviations; of six all, of seven all but one pair), the weights do change: the run was started again with the same seed, which is information.

    ## Why it matters
    The weights did not change in between: every step was computed in vain.

    ## False alarms it avoids
    A loss that moved before it froze, which is `frozen-metric`; stretches that a resumed run repeats; logs of more than 1,000 records,
    whose first epoch would have had to be as long as the log.

    ## What to try
    Compare a weight before and after a step. The learning rate is zero, the optimizer holds other parameters, or the
    step is skipped, as by a loss scaler that finds an overflow every time.

    ## References
    - PyTorch, `torch.optim`: an optimizer updates the parameters it was constructed with, not those of a model made later.
    """
    metric, losses = curve
    values = losses.values
    if _never_moves(run, losses):
        yield _constant(run, metric, losses)
        return
    if len(values) < 2 * fewest:
        yield too_few(len(values), "finite values of the loss", 2 * fewest)
        return
    if len(values) > LONGEST:
        yield NotChecked(f"the log has more than {LONGEST:,} records")
        return
    lag = begins_again(values, fewest, share)
    if lag is None:
        return
    again, anew = int(losses.steps[lag]), started_anew(values[lag:])
    yield Finding(
        f"{'The loss' if metric == 'loss' else metric} begins again at {run.place(again)}: from there to the end its "
        f"{len(values) - lag:,} values are, digit for digit, the first ones ({figure(float(values[0]), 6)}, "
        f"{figure(float(values[1]), 6)}, …){STARTED if anew else ': the weights do not change.'}",
        again,
        int(losses.steps[-1]),
        metric,
        {"after_records": lag, "repeated": len(values) - lag},
        ONE_LOG_EACH if anew else _advice(run),
        Severity.INFO if anew else Severity.WARNING,
    )


def _never_moves(run: Run, losses: Series) -> bool:
    """Tell whether every record of a log is the same loss, to more digits than two batches or two epochs share."""
    if len(losses) < SAME_OF_SIX or np.ptp(losses.values) > 0 or losses.values[0] < LEAST:
        return False
    if len(losses) < SAME and run.step_kind == "record":  # one record that is printed again
        return False
    value = float(losses.values[0])
    digits = OF_MANY_DIGITS if len(losses) >= OF_MANY else DIGITS if len(losses) >= SAME else SIX
    written = len(f"{value:.12g}".replace(".", "").strip("0"))
    decimals = 0 if losses.decimals is None else losses.decimals
    if max(written, len(f"{value * 10.0**decimals:.0f}")) < digits:
        return False
    return run.evaluation is None or not np.ptp(run.evaluation[1].finite.values) > 0


def _constant(run: Run, metric: str, losses: Series) -> Finding:
    value = float(losses.values[0])
    return Finding(
        f"{'The loss' if metric == 'loss' else metric} is {figure(value, 6)} in all {len(losses):,} records, to the last digit: "
        "the weights do not change, or one old value is logged.",
        int(losses.steps[0]),
        int(losses.steps[-1]),
        metric,
        {"value": value, "records": len(losses)},
        _advice(run),
    )


def _advice(run: Run) -> tuple[str, ...]:
    return (
        "Compare a weight before and after a step: which parameters does the optimizer hold, and does it step?",
        "Check that the learning rate is not zero, and that no step is skipped.",
        advice.labels(run),
    )
