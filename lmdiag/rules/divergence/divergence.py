import numpy as np
from msgspec.structs import replace

from lmdiag import advice
from lmdiag.chance.stated import stated_guesses
from lmdiag.data_steps import dropped_before
from lmdiag.figures import figure
from lmdiag.finding import NO_SHAPE, SHAPELESS, Advice, Curve, Finding, Findings, NotChecked, Severity, rule, too_few
from lmdiag.run import Run, Series
from lmdiag.stats.limits import LEARNS, LEAST_PROGRESS, LOST, LOW_RATE, SCALED
from lmdiag.stats.noise import scatter
from lmdiag.stats.phases import phases
from lmdiag.stats.rebound import (
    Rebound,
    grown_from,
    left_behind_together,
    risen_since,
    sustained_rise,
)
from lmdiag.stats.returning import begins_again, started_anew
from lmdiag.stats.trend import mann_kendall
from lmdiag.stats.windows import median, quantile
from lmdiag.updates import began_with_the_run

EVAL_AT_BEST = 0.002  # an evaluation within 0.2% of its best says the model is as good as ever
# Or, of ten or more, within so many standard deviations: the best of a hundred is low by 2.5
EVAL_SIGMAS, MANY_EVALUATIONS = 3.0, 10
EVAL_OF_RISE = 0.1  # or within so much of the rise: a model that is worse by it shows more
FEWEST_SINCE = 5  # evaluations that fall on
EVAL_FELL = 0.02  # and so does one that has fallen since the rise, where none was taken while the loss was low
AT_ONCE, MOST_OF_IT, NEAR_A_GUESS = 3, 0.8, 0.03  # records; of the rise; of the cost that the header states
ENORMOUS = 0.5  # share of the level from which a rise is an alarm whatever the evaluation says
SMALL_RISE = 0.2
AS_MUCH = 0.5  # of the rise, in the evaluations
ENORMOUS_NATS = 0.5
# Of a loss that is often below 0: records before a blow-up, ranges of theirs that it and the records behind it lie above them.
BEFORE, BLOWN_UP, LEFT_ABOVE = 10, 1000.0, 3.0
# Of a handful of records: how many, how many times what they began with training and evaluation end at, and nats above it.
FEWEST, WORSE, WORSE_NATS = 2, 1.5, 0.5
ANOTHER_LOSS = ", while the evaluation goes on falling: what is logged is no longer what is evaluated"
OF_ANOTHER_LOSS = (
    "Compute both losses on one batch by hand: has the training loss another term, another weight, or a sum in place of a mean from there on?",
    "Log the terms of the training loss apart, that of the tokens first: the others hide it.",
)
FEW_RECORDS, FEW_LOST = 6, 3.0  # of fewer, an error asks for so many times the lowest
MANY_RECORDS = 40  # with which a rise shows of itself
AGAIN = 0.1  # of the log: so much of it, digit for digit its beginning, is another start with the same seed


@rule(family="divergence", needs=("curve",), severity=Severity.WARNING, min_points=FEWEST)
def check(run: Run, curve: Curve) -> Findings:
    """Loss rises well above its minimum and stays there.

    ## What it looks for
    A loss whose end lies above an earlier level by more than noise, on the training curve or, where there is none, on the evaluations.

    ## How it decides
    The first of these tests that holds counts. A standard error comes from second differences, so that slope is not taken for noise, and from the
    slow wander of the whole curve. A loss that starts below 0.1 has been divided by something, and is judged in units of its start.

    | test | asks for | why that much |
    |---|---|---|
    | the end above the lowest level | median of the last 1/20, 1/10 or 1/5 of the records above the lowest rolling median of the same length: by 0.1 nat and 3% at 4 standard errors, 0.3 nat and 15% at 3.5, 0.5 nat and 30% at 3 | the lowest of m windows is lowest by luck: sqrt(ln m) standard errors are taken off, unless the evaluations never were as good again either |
    | the same of the logarithm | as above | noise that is a share of the level |
    | the last third above the start | by two standard deviations of a record, or, if it is long, all but 5% of it | nothing was gained |
    | all far above the first record | twelve records or more, each of which but the first is 1.5 times that and 0.3 nat above it; by three deviations of their logarithms; their median is 4 nats or more, and they do not fall (Mann-Kendall z above -2) | it was left before the second, as at a rate far too high; behind a first record that is low by itself the run learns |
    | the last records above all before | three of them; of fewer than twelve records the last two at 2.5 times the minimum, if none between came back from half of that rise | a run that is just breaking away |
    | four or five records | all rise, to 1.75 times the first and 0.5 nat above it; or the last two or three, of two before or more, lie at 1.6 times the largest before and 1 nat above it; of four records 2.5 times either; an error where the last is three times the lowest | of alike records one log in 300 does by chance where single batches scatter by 30% |
    | a climb from the first records to the last | twelve or more, whose ranks follow their order (correlation of 0.9); the median of the last third 0.1 nat and 5% above that of the first | of alike records one log in 10,000 is so ordered by chance |
    | a short curve gives back what it had gained | six to 19 records, of which the last three or more rise without a break, above zero, by 60% of what had been gained before, 5% of the level and six standard deviations of a record | so ordered and so large is no noise: one of 6,000 simulated healthy logs |
    | blow-up of a loss that is often below 0 | behind ten records or more, one that lies a thousand times their range above them, three or more behind it, and the median of these three ranges above | such a loss, of a likelihood of densities, may rise for good reasons, but not so |
    | a handful of records, of training and evaluation | fewer than six of each, two or more: both rise from record to record, to 50% and 0.5 nat above their first | two measures that agree, and nothing gained |
    | never as good again | training loss and evaluations were lowest at the same time; four or more later ones of both all stay 5% and two deviations above that | they may fall again as the rate decays |
    | a rise beside a gradient that grew | fewer than 40 records: from some record on all norms are twice the largest before, and their median is ten times as large; since its lowest record the loss rises in ranks (Mann-Kendall z of 2), to 0.1 nat and 15% above it in the median of the last third, and its last three records are up by half of that | two measures that agree; either may be noise in so few records |

    | what follows | from |
    |---|---|
    | onset | the jump, or where a line leaves the level: the fit of both to the records since the lowest level, up to where the loss stays 30% of the rebound above it (of no more than three times the level, or ten standard deviations if noise is larger than that) |
    | error | 30% of the progress lost, the loss half as high again, or not finite in the end |
    | warning | evaluations that fall on from the rise to the end, five or more, by 2% and beyond chance: the training loss is then of something else, however high it is |
    | information | an evaluation behind the rise at its best, or off it by a tenth of the rise: other data, not a worse model |
    | information | a sudden rise of less than half of the level in a log whose loss had dropped as suddenly before, by half as much and below all before: no model learns so, blocks of other data look so |
    | information | a rise under 0.2 nat in the second half of a schedule, below a fifth of its peak, if the evaluations did not all rise with it by half |

    ## Why it matters
    Every step after the onset costs compute and makes the model worse.

    ## False alarms it avoids
    Spikes that come back; the beginning of a run that is started again with the same seed in the same log; staircases of several epochs; a rise of the training loss while the evaluation stays at its best (other data, not a
    worse model), if one was taken while the loss was low, or they have fallen by 2% since; blocks of other data; the small rise at the end of the last epoch at almost zero learning rate. These are information.

    ## What to try
    Resume from before the onset with half the learning rate and clipped gradients. To tell the learning rate from data, replay the same batches with
    the lower rate: if the loss rises at the same step again, look at the data. Look at it first where the loss goes at once to what a guess costs and gradients do not stay larger.

    ## References
    - Wortsman et al. 2023, Small-scale proxies for large-scale Transformer training instabilities, arXiv:2309.14322.
    - Chowdhery et al. 2022, PaLM, arXiv:2204.02311, section 5.1.
    """
    metric, losses = curve
    if len(losses) < FEW_RECORDS and not _rise(losses.values):
        yield _of_a_handful(run) or too_few(len(losses), "finite values of the loss", 6)
        return
    if run.objective == "signed":
        yield _blow_up(run, metric, losses) or NotChecked(NO_SHAPE.format(SHAPELESS[run.objective]))
        return
    lag = begins_again(losses.values, 6, AGAIN)
    if lag is not None and started_anew(losses.values[lag:]):
        losses = losses.at(slice(lag, None))
    found = _rise(losses.values) or _worse_together(run, metric, losses) or _with_its_gradient(run, metric, losses)
    if found is None:
        return
    onset, low_step = int(losses.steps[found.onset]), int(losses.steps[found.low_at])
    low = f"{figure(found.low)} at" if found.single else f"a median of {figure(found.low)} near"
    high = "a median" if found.single else "one"
    end = (
        f"{figure(found.high)} or more in its last {found.last} records"
        if found.last
        else f"{high} of {figure(found.high)}"
    )
    severity, reservation, lines = _judged(run, metric, losses, found)
    yield Finding(
        f"{_name(metric)} rose from {low} {run.place(low_step)} to {end} and stayed up, from {run.place(onset)} on{reservation}.",
        onset,
        int((run.curve or curve)[1].steps[-1]),  # what is no longer finite belongs to it
        metric,
        _evidence(run, found, onset),
        lines,
        severity,
    )


def _blow_up(run: Run, metric: str, losses: Series) -> Finding | None:
    """Tell of a single jump beyond all measure, behind which a loss that is often below 0 stays far above what it was."""
    values = losses.values
    at = int(np.argmax(values))
    before, after = values[:at], values[at + 1 :]
    if len(before) < BEFORE or len(after) < 3:
        return None
    top, size = float(before.max()), float(np.ptp(before))
    low, high = float(median(before)), float(median(after))
    if size <= 0 or values[at] < top + BLOWN_UP * size or quantile(after, 0.1) < top or high < top + LEFT_ABOVE * size:
        return None
    onset = int(losses.steps[at])
    return Finding(
        f"{_name(metric)} jumped to {figure(float(values[at]))} at {run.place(onset)} and stayed up: a median of {figure(low)} before, and of "
        f"{figure(high)} since.",
        onset,
        int(losses.steps[-1]),
        metric,
        {"minimum": low, "end": high, "rebound": high - low, "highest": float(values[at])},
        advice.back_and_calmer(run, onset),
    )


def _of_a_handful(run: Run) -> Finding | None:
    """Tell of training and evaluation losses, a few of each, that agree: both end far above where they began."""
    if "loss" not in run or run.evaluation is None or run.objective in SHAPELESS:
        return None
    trained, (name, evaluated) = run["loss"].finite, run.evaluation
    both = trained.values, evaluated.finite.values
    for values in both:
        if not FEWEST <= len(values) < 6 or values[0] <= 0:
            return None
        if values[-1] < max(WORSE * values[0], values[0] + WORSE_NATS) or (np.diff(values) < 0).any():
            return None
    onset = int(trained.steps[1])
    (first, *_, last), (first_evaluated, *_, last_evaluated) = (map(float, values) for values in both)
    return Finding(
        f"The loss rose from {figure(first)} in its first record to {figure(last)} in its last, and {name} from {figure(first_evaluated)} to "
        f"{figure(last_evaluated)}: both are worse than where they began.",
        onset,
        int(trained.steps[-1]),
        "loss",
        {"minimum": first, "end": last, "rebound": last - first},
        advice.back_and_calmer(run, onset),
        Severity.WARNING,
    )


def _rise(values: np.ndarray) -> Rebound | None:
    """Return the rise that stays; of a loss that starts where no mean of nats per token does, in units of its start."""
    start = max(float(values[0]), float(median(values[:3]))) if len(values) else 0.0
    if not 0 < start < SCALED:
        return sustained_rise(values)
    found = sustained_rise(values / start)
    return found and replace(found, low=found.low * start, high=found.high * start)


def _worse_together(run: Run, metric: str, losses: Series) -> Rebound | None:
    """Return the rise of a training loss whose evaluations were best at the same time and, as it, never as good
    again."""
    if run.evaluation is None or metric != "loss":
        return None
    evaluations = run.evaluation[1].finite
    return left_behind_together(losses.steps, losses.values, evaluations.steps, evaluations.values)


def _with_its_gradient(run: Run, metric: str, losses: Series) -> Rebound | None:
    """Return the rise of a few training losses beside gradient norms that grew tenfold and stayed up: each alone might be chance."""
    norms = run["grad_norm"].finite if "grad_norm" in run else losses.at(slice(0))
    norms = norms.at(norms.values > 0)
    if metric != "loss" or len(losses) >= MANY_RECORDS or len(norms) >= MANY_RECORDS:
        return None
    at = grown_from(norms.values)
    return None if at is None else risen_since(losses.values, int(np.searchsorted(losses.steps, norms.steps[at])))


def _name(metric: str) -> str:
    return "The loss" if metric == "loss" else f"The loss on {metric.split('/')[0]}"


def _judged(run: Run, metric: str, curve: Series, found: Rebound) -> tuple[Severity, str, tuple[str, ...]]:
    """Return how bad a rise is, what the sentence about it ends in, and what to do."""
    onset = int(curve.steps[found.onset])
    data = _look_at_the_data(run, onset)
    if found.rise < ENORMOUS * abs(found.low) and metric == "loss" and _evaluation_at_best(run, curve, found):
        return Severity.INFO, ", while the evaluation stays at its best: other data, not a worse model", data
    if metric == "loss" and _evaluation_falls_on(run, onset):
        return Severity.WARNING, ANOTHER_LOSS, OF_ANOTHER_LOSS
    if _end_of_schedule(run, onset) and found.rise < SMALL_RISE and not _evaluation_rose(run, onset, found):
        words = ", when the learning rate was below a fifth of its peak: probably the order of the data"
        return Severity.INFO, words, data
    small = metric == "loss" and 0 < found.rise < ENORMOUS * found.low
    if small and (dropped := dropped_before(run, curve, onset)) is not None:
        words = f"; at {run.place(dropped)} it had dropped as suddenly: probably blocks of other data"
        return Severity.INFO, words, data
    start = max(float(curve.values[0]), float(median(curve.values[:3])))
    progress = max(start - found.low, LEAST_PROGRESS)
    lost = found.rise >= LOST * progress or found.rise >= max(ENORMOUS * abs(found.low), ENORMOUS_NATS)
    if len(curve) < FEW_RECORDS:  # so few, of harder data perhaps, must be far off
        lost = float(curve.values[-1]) >= FEW_LOST * found.low
    lost = lost or not np.isfinite(run[metric].values[-1])  # and what rose is not finite in the end
    return (Severity.ERROR if lost else Severity.WARNING), "", _advice(run, metric, curve, found)


def _evaluation_at_best(run: Run, losses: Series, found: Rebound) -> bool:
    """Tell whether the evaluation is as good as when the loss was low, or has fallen since; without either it says
    nothing."""
    if run.evaluation is None:
        return False
    evaluations = run.evaluation[1].finite
    onset = int(losses.steps[found.onset])
    after = evaluations.values[evaluations.steps > onset]
    best = float(evaluations.values.min())
    noise = scatter(evaluations.values) if len(evaluations) >= MANY_EVALUATIONS else 0.0
    if not len(after) or after[-2:].min() - best > max(
        EVAL_AT_BEST * best, EVAL_SIGMAS * noise, EVAL_OF_RISE * found.rise
    ):
        return False
    low = losses.steps[: found.onset][losses.values[: found.onset] <= found.low + 0.5 * found.rise]
    taken_when_low = len(low) > 0 and bool(((evaluations.steps >= low[0]) & (evaluations.steps <= onset)).any())
    return taken_when_low or bool(after[-2:].min() <= after[0] * (1 - EVAL_FELL))


def _evaluation_falls_on(run: Run, onset: int) -> bool:
    """Tell whether the evaluation has fallen from the rise to the end, where it is lowest: such a model is no worse, however high its training loss."""
    losses = run.evaluation_loss[1].finite if run.evaluation_loss else None
    if losses is None:
        return False
    since = losses.values[losses.steps >= onset]
    return (
        len(since) >= FEWEST_SINCE
        and bool(losses.values[-1] <= losses.values.min() and since[-1] <= since[0] * (1 - EVAL_FELL))
        and mann_kendall(since) <= LEARNS
    )


def _evaluation_rose(run: Run, onset: int, found: Rebound) -> bool:
    """Tell whether two evaluations or more all stand above every one before, by half of the rise: the order of the data does not do that."""
    losses = run.evaluation_loss[1].finite if run.evaluation_loss else None
    if losses is None:
        return False
    before, after = losses.values[losses.steps < onset], losses.values[losses.steps > onset]
    return min(len(before), len(after)) >= 2 and bool(after.min() >= before[-2:].max() + AS_MUCH * found.rise)


def _end_of_schedule(run: Run, onset: int) -> bool:
    if "lr" not in run or onset < (run.first_step + run.last_step) / 2:
        return False
    schedule = phases(run["lr"].steps, run["lr"].values)
    lr = run.value_at("lr", onset)
    return schedule is not None and lr is not None and lr < LOW_RATE * schedule.peak


def _evidence(run: Run, found: Rebound, onset: int) -> dict[str, float]:
    evidence = {"minimum": found.low, "end": found.high, "rebound": found.rise, "standard_errors": found.errors}
    lr = run.value_at("lr", onset)
    if lr is not None:
        evidence["lr"] = lr
    if "grad_norm" in run:
        norms = run["grad_norm"].finite
        before, after = norms.values[norms.steps < onset], norms.values[norms.steps >= onset]
        if len(before) >= 4 and len(after) and median(before[-50:]) > 0:
            evidence["gradient_growth"] = float(median(after[:50]) / median(before[-50:]))
    return evidence


def _best_meanwhile(run: Run, low_step: int, onset: int) -> Advice | None:
    """Say to resume from the best of all evaluations where it was taken between the low and the rise."""
    metric, losses = run.evaluation_loss or ("", None)
    best = int(np.argmin(losses.finite.values)) if losses is not None and len(losses.finite) > 1 else None
    if losses is None or best is None or not low_step <= int(losses.finite.steps[best]) <= onset:
        return None
    step, value = int(losses.finite.steps[best]), float(losses.finite.values[best])
    return Advice(
        f"Resume from the checkpoint of {run.place(step)}, where {metric} was lowest ({figure(value)}).",
        about="checkpoint",
    )


def _look_at_the_data(run: Run, onset: int) -> tuple[str, ...]:
    return (
        f"Look at the data from {run.place(onset)} on: another source, a harder part of the mixture, an order that was not shuffled.",
        f"Evaluate checkpoints from before and behind {run.place(onset)} on the same set: if the later one is no worse, go on.",
    )


def _fell_back_to_a_guess(run: Run, losses: Series, found: Rebound) -> bool:
    """Tell whether a loss went at once to the cost of a guess that the header states, and gradients did not stay larger: so may a dead model, too."""
    near = any(abs(found.high / guess.cost - 1) <= NEAR_A_GUESS for guess in stated_guesses(run))
    most = float(losses.values[found.onset : found.onset + AT_ONCE].max())
    at_once = most >= found.low + MOST_OF_IT * found.rise
    return near and at_once and not advice.gradients_grew(run, int(losses.steps[found.onset]))


def _advice(run: Run, metric: str, losses: Series, found: Rebound) -> tuple[str, ...]:
    onset, low_step = int(losses.steps[found.onset]), int(losses.steps[found.low_at])
    if metric != "loss":
        lowest = float(losses.between(low_step, low_step).values[0])
        return (
            advice.keep_best(run, metric, low_step, lowest),
            "Log the training loss: if it falls while this rises, the model overfits, and more data, dropout or an "
            "earlier stop help; if it rises as well, a lower learning rate does.",
        )
    back, *calmer = advice.back_and_calmer(run, onset)
    if (best := _best_meanwhile(run, low_step, onset)) and not began_with_the_run(run, onset):
        back = best
    if _fell_back_to_a_guess(run, losses, found):
        decode = f"Decode inputs and labels of the batches from {run.place(onset)} on first: the loss went at once to what a guess without the input costs."
        return decode, back, *calmer
    if advice.rate_is_cleared(run, onset):
        return (back, *calmer, *_look_at_the_data(run, onset))
    return (
        back,
        *calmer,
        f"Replay the same batches at the lower rate: if the loss rises at the same {run.unit} again, the data is the "
        "cause.",
    )
