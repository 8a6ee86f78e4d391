import numpy as np

from lmdiag import advice
from lmdiag.figures import figure
from lmdiag.finding import Curve, Finding, Findings, NotChecked, Severity, rule, too_few
from lmdiag.run import Run, Series
from lmdiag.stats.limits import LONGEST
from lmdiag.stats.repeats import same_by_chance, stands_still
from lmdiag.stats.returning import begins_again, copied_stretch, goes_round, started_anew
from lmdiag.stats.trend import mann_kendall
from lmdiag.stats.windows import median

FEWEST = 6  # losses in a row of four digits come again by chance once in 10^24 logs
SAME, OF_MANY = 4, 10  # records in all that are the same loss
SAME_OF_SIX, SIX = 3, 6  # and digits of the shortest log: a metric that stands at its bound, or nothing is computed
# Digits of that loss, in as many records: other batches, and what a step changes, show in the last of them.
DIGITS, OF_MANY_DIGITS = 4, 3
STRETCH = 20  # records of a stretch that is repeated: no few digits come again so often
MOST = 100_000
LEAST = 0.05  # nats: what was learned by heart is rounded to the same digits
# Of the first loss: one that fell so far moved its weights, or one that rose so far in ranks of this z
MOVED, RISES = 0.02, 2.5
SHARE = 0.3  # of the log: what comes again once, after a resume, is `replayed-data` or `step-rewind`
ERROR_RECORDS = 50
STARTED = ", and they fall: the run was started again with the same seed."
ONE_LOG_EACH = ("Give each start a log of its own: the second pass is the first one over again.",)


@rule(family="convergence", needs=("curve",), severity=Severity.WARNING, min_points=SAME_OF_SIX)
def check(run: Run, curve: Curve, *, fewest: int = FEWEST, share: float = SHARE) -> Findings:
    """Losses come again, digit for digit, while the steps go on.

    ## What it looks for
    A run that goes through the same batches more than once and loses exactly the same on them, from the beginning of the log or in between.

    ## How it decides
    | test | asks for | why that much |
    |---|---|---|
    | repeated | the losses from some record to the end of the log are exactly the first ones | the same batches under the same weights |
    | | `fewest` (6) records or more, with as many different values, and `share` (30%) of the log | so many equal to the last digit are no chance, nor one stretch that a resume repeated |
    | a round | the losses from some record to the end are those of a round before, to a thousandth of their noise; one round and `fewest` more, and as large a share | the first ones of a recurrent model, whose state is carried on, differ, and sums in another order do by a last digit |
    | a stretch | 20 losses or more in a row, three in four of them different, that stood in the log before, behind its beginning, in a log without a restart; those just before it do not resemble what stood before the first | so many digits are no chance; batches in the same order and a rate near zero resemble each other ever more |
    | all the same | the log is one loss of 0.05 or more: four records of four digits, ten of three, three of six at steps that are logged; no evaluation moves | batches differ, and so do epochs in which anything is learned |
    | an evaluation that never moves | all evaluations of a loss of 0.05 or more are the same to the last digit, so often that chance does it in one healthy log in a million: two evaluations of a model that trains differ by a hundred-thousandth or more, of which fourteen digits show the most (four evaluations), six digits some (five), four none; and the training loss has not fallen by 2%, nor risen by as much in ranks of 2.5 standard deviations | where nothing but the batches moves the training loss, the weights do not |

    It is an error from 50 such records on: nothing was learned in them. Where the repeated losses fall (a rank trend of 3 standard deviations; of six all, of seven all but one pair), the weights do change: the run was started again with the same seed, which is information.

    ## Why it matters
    The weights did not change in between: every step was computed in vain.

    ## False alarms it avoids
    A loss that moved before it froze, which is `frozen-metric`; stretches that a resumed run repeats; logs of more than 1,000 records,
    whose first epoch would have had to be as long as the log; steps that are not logged, of which a log that was printed twice has the same ones.

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
    if (found := _repeated(run, metric, losses, fewest, share)) is not None:
        yield found
    elif len(values) < 2 * fewest:
        yield too_few(len(values), "finite values of the loss", 2 * fewest)
    elif len(values) > LONGEST:
        yield NotChecked(f"the log has more than {LONGEST:,} records")


def _repeated(run: Run, metric: str, losses: Series, fewest: int, share: float) -> Finding | None:
    """Return the finding on losses that come again, by the test that says the most."""
    rounds = 2 * fewest <= len(losses) <= LONGEST
    found = (
        (_again(run, metric, losses, fewest, share) or _round(run, metric, losses, fewest, share)) if rounds else None
    )
    if found is None and (stuck := _evaluation_never_moves(run, metric, losses)) is not None:
        return _constant(run, *stuck)
    return found or (_stretch(run, metric, losses) if len(losses) >= 2 * fewest else None)


def _again(run: Run, metric: str, losses: Series, fewest: int, share: float) -> Finding | None:
    """Return the finding on losses that are the first ones again, to the end of the log."""
    values = losses.values
    lag = begins_again(values, fewest, share)
    if lag is None:
        return None
    again, anew = int(losses.steps[lag]), started_anew(values[lag : 2 * lag])
    return Finding(
        f"{'The loss' if metric == 'loss' else metric} begins again at {run.place(again)}: from there to the end its "
        f"{len(values) - lag:,} values are, digit for digit, the first ones ({figure(float(values[0]), 6)}, "
        f"{figure(float(values[1]), 6)}, …){STARTED if anew else ': the weights do not change.'}",
        again,
        int(losses.steps[-1]),
        metric,
        {"after_records": lag, "repeated": len(values) - lag},
        ONE_LOG_EACH if anew else _advice(run),
        Severity.INFO if anew else _grade(len(values) - lag),
    )


def _grade(repeated: int) -> Severity:
    """Return how bad it is that so many records were computed in vain: a few may be a test of the loop."""
    return Severity.ERROR if repeated >= ERROR_RECORDS else Severity.WARNING


def _round(run: Run, metric: str, losses: Series, fewest: int, share: float) -> Finding | None:
    """Return the finding on losses that go round to the end of the log, behind first ones that differ, as the carried state of a recurrent model makes them."""
    again = goes_round(losses.values, fewest, share)
    if again is None:
        return None
    row, lag, apart = again
    if started_anew(losses.values[row : row + lag]):
        return None
    here, count = int(losses.steps[row]), len(losses) - row
    return Finding(
        f"{'The loss' if metric == 'loss' else metric} goes round: its {count:,} values from {run.place(here)} to the end are, "
        f"{f'to {figure(apart, 1)}' if apart else 'digit for digit'}, those {lag:,} records before: the weights do not change.",
        here,
        int(losses.steps[-1]),
        metric,
        {"after_records": lag, "repeated": count},
        _advice(run),
        _grade(count),
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


def _evaluation_never_moves(run: Run, metric: str, losses: Series) -> tuple[str, Series] | None:
    """Return the evaluation that is the same each time, beside a training loss that hardly moves."""
    if run.evaluation_loss is None or run.evaluation_loss[0] == metric or len(losses) < SAME_OF_SIX:
        return None
    name, evaluations = run.evaluation_loss[0], run.evaluation_loss[1].finite
    value = float(evaluations.values[0]) if len(evaluations) else 0.0
    if value < LEAST or not stands_still(evaluations.values, same_by_chance(value, evaluations.rounding)):
        return None
    first, width = float(losses.values[0]), max(1, len(losses) // 3)
    gain = first - float(median(losses.values[-width:]))
    rises = -gain >= MOVED * abs(first) and mann_kendall(losses.values) >= RISES
    return None if gain >= MOVED * abs(first) or rises else (name, evaluations)


def _stretch(run: Run, metric: str, losses: Series) -> Finding | None:
    """Return the finding on a stretch that stood in the log before; a restart in the log is judged by `replayed-data`."""
    if run.step_kind == "record" or len(run.segments) > 1 or len(losses) > MOST:
        return None
    copied = copied_stretch(losses.values, STRETCH)
    if copied is None or copied[1] == 0:  # a log that begins again is the first test
        return None
    row, first, count = copied
    here, there = int(losses.steps[row]), int(losses.steps[first])
    return Finding(
        f"{count:,} values of {'the loss' if metric == 'loss' else metric} from {run.place(here)} on are, digit for digit, those from {run.place(there)} on: "
        "the run went back to the weights and the batches of then, or old values are logged.",
        here,
        int(losses.steps[row + count - 1]),
        metric,
        {"copied_from": there, "repeated": count},
        (
            f"Compare a weight of {run.place(there)} and of {run.place(here)}: equal ones mean that an old checkpoint was loaded, under new step numbers.",
            "If they differ, look at what is logged: a value that is not computed anew, or a file that was joined to itself.",
        ),
    )


def _constant(run: Run, metric: str, losses: Series) -> Finding:
    value = float(losses.values[0])
    records = "records" if metric == (run.curve or ("",))[0] else "evaluations"
    return Finding(
        f"{'The loss' if metric == 'loss' else metric} is {figure(value, 6)} in all {len(losses):,} {records}, to the last digit: "
        "the weights do not change, or one old value is logged.",
        int(losses.steps[0]),
        int(losses.steps[-1]),
        metric,
        {"value": value, "records": len(losses)},
        _advice(run),
        _grade(len(losses)),
    )


def _advice(run: Run) -> tuple[str, ...]:
    return (
        "Compare a weight before and after a step: which parameters does the optimizer hold, and does it step?",
        "Check that the learning rate is not zero, and that no step is skipped.",
        advice.labels(run),
    )
