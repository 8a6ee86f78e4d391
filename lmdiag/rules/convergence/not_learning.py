from math import exp, log

import numpy as np

from lmdiag import advice
from lmdiag.beginning import holds_start
from lmdiag.figures import figure
from lmdiag.finding import (
    BEGINS_LATER,
    WARMING_UP,
    Curve,
    Finding,
    Findings,
    NotChecked,
    Severity,
    rule,
    too_few,
)
from lmdiag.run import Run, Series
from lmdiag.stats.course import course
from lmdiag.stats.limits import FEW_PLANNED, KNOWS, LEARNS, SURE
from lmdiag.stats.noise import MEDIAN_ERROR
from lmdiag.stats.phases import Phases, phases
from lmdiag.stats.progress import Progress, progress
from lmdiag.stats.trend import mann_kendall
from lmdiag.stats.windows import distinct, median

LEAST_RECORDS = 10
SURELY = 2.5  # standard errors: a fall that lies beyond them is excluded, but for one log in 160
COARSE_TREND, TREND = -1.0, -SURE  # Mann-Kendall z above which a loss does not fall: one falling by chance in 6, in 20
LEAST_FALL = 0.05  # of the start, in few records; by any measure of the fall
BEST_FALL = 0.15  # of the start, by the best window: such a loss has learned, whatever became of it
AT_ONCE, AT_ONCE_SIGMAS = 0.08, 3.0  # a first record this far above the end: the learning was over before the second
EARLY_ERRORS, EARLIEST = 2.5, 3  # standard errors of the first records, so many at least, above the rest
# Or by less at more of them: of the eight windows one in 500 logs shows it by chance
SMALL_FALL, SMALL_ERRORS = 0.03, 3.5
LITTLE_ERRORS = 5.0  # or by `trivial`, beyond doubt, where no guess costs as much
OF_ANSWERS = 0.005  # of ln k, which guessing among k answers costs
CLEAR_FALL = 0.05  # of the start; with a rank trend that chance makes once in 700 runs
HIGH, TRIVIAL_ABOVE = 6.0, 2.0  # nats, and how many times the trivial gain is trivial there: the way down is long
SMALL_PEAK = 1e-5  # below the learning rates in use for fine-tuning
FIRST_RECORDS = 30  # within which a run from scratch shows a fall in its ranks, and a warm-up may show none yet
ROSE = 0.1  # of its start: such a loss did more than not fall
EVALUATIONS = 5  # as many see what the noise of single batches hides,
GAINED, RANKS = 0.02, -2.0  # where they gain so much of the first of them, with such a Mann-Kendall z


@rule(family="convergence", needs=("curve",), severity=Severity.WARNING, min_points=LEAST_RECORDS)
def check(run: Run, curve: Curve, *, trivial: float = 0.01, hidden: float = 0.10) -> Findings:
    """Loss does not fall.

    ## What it looks for
    A run that learns nothing, or next to nothing, from its first record to its last, at whatever level.

    ## How it decides
    The log must hold the start of the run. The first record that stands 8% and three deviations above the end says that
    the learning was over before the second, and nothing is found. Else one of two tests:

    | test | asks for | why that much |
    |---|---|---|
    | no trend | ranks do not fall: Mann-Kendall z above -1.645 | one flat curve in 20 falls so by chance: any sign of learning counts |
    | | fall from the first to the last third surely (2.5 standard errors) under `hidden` (10%) of the start | an equivalence test: noise that could hide the fall of a fine-tune says nothing |
    | | no first records 8% and 2.5 standard errors, 3% and 3.5, or `trivial` and 5 (not at 2 nats or more, nor within 0.5% of ln k), above the rest, no window 15% below the start | a fall at once leaves no trend behind it, nor does one that was lost again |
    | the same, in fewer than 30 records | z above -1, and no measure of the fall at 5% | ranks of so few are coarse |
    | trivial gain | start less end, and robust trend, surely (95%) under `trivial` (1%) of the level; twice that above 6 nats; not where the ranks of the first 30 records, or of a warm-up, fall, unless these records are epochs that end at 2 nats or above | an equivalence test: the fall that cannot be ruled out is worth nothing |

    Of a policy that is trained on preferences or by reinforcement, whose loss need not fall by much, only this counts: the gradient norm is
    0 in every record, ten or more, and neither does the loss of the pairs fall nor the reward rise.

    ## Why it matters
    The weights do not change, the labels do not fit the inputs, or the learning rate is off by orders of magnitude.
    More steps will not help.

    ## False alarms it avoids
    Five evaluations or more that fall by 2% with a rank trend of 2 standard deviations; logs that start in the middle of a run, the first 5% of a planned run, ten noisy records without trend, logs of
    fewer than 30 records that end in warm-up. Unless such a log falls clearly (a rank trend of 3 standard deviations,
    and 5% of the first loss) or lies below 2 nats per token, where no guessing by frequency comes, the rule says that
    it could not look, and the run is not called healthy. A loss that stays where guessing leads is `at-chance`.

    ## What to try
    Overfit one batch: if its loss does not reach zero, the loop is broken (frozen weights, zero learning rate, labels
    shifted twice, optimizer without the model's parameters). If it does, try learning rates a factor of ten apart.

    ## References
    - Karpathy 2019, A recipe for training neural networks: overfit one batch; loss at init is ln V.
    - Schuirmann 1987, two one-sided tests for equivalence.
    """
    metric, losses = curve
    if run.kind in ("preference", "reinforcement"):
        yield from _without_gradient(run, losses)
        return
    if len(losses) < LEAST_RECORDS:
        yield too_few(len(losses), "finite values of the loss", LEAST_RECORDS)
        return
    schedule = phases(run["lr"].steps, run["lr"].values) if "lr" in run else None
    seen = progress(losses.values)
    if _learned_at_once(losses.values, seen):
        return
    blind = None if _clearly_learns(seen, run.per_token) else _blind(run, losses, schedule)
    if blind is not None:
        yield blind
        return
    if not holds_start(run, losses):
        return
    if seen.sigma > 0 and _evaluations_fall(run, metric):  # a loss that never moves is none of this training
        return
    fell = seen.rank_trend <= TREND or _fell_early(losses.values, seen, trivial)
    error = SURELY * _fall_error(seen)
    if not fell and min(error, seen.fall + error) >= hidden * abs(seen.start):
        yield NotChecked(f"the noise of the loss ({seen.sigma / abs(seen.start or 1):.0%}) could hide that it falls")
        return
    few = len(losses) < FIRST_RECORDS and not (run.step_kind == "epoch" and seen.end >= KNOWS)
    begun = few or (schedule is not None and schedule.still_warming)
    flat = not fell and _no_trend(seen, hidden)
    if not flat and ((begun and seen.rank_trend <= LEARNS) or not _trivial_gain(seen, trivial)):
        return
    yield Finding(
        _message(metric, seen, flat),
        int(losses.steps[0]),
        int(losses.steps[-1]),
        metric,
        {
            "start": seen.start,
            "end": seen.end,
            "fall": seen.fall,
            "gain": seen.gain,
            "rank_trend": seen.rank_trend,
            "records": seen.records,
        },
        _advice(run, schedule),
    )


def _without_gradient(run: Run, losses: Series) -> Findings:
    """Judge a policy, of which only this is sure: without a gradient it learns nothing, and neither reward nor loss gets better."""
    norms = run["grad_norm"].finite if "grad_norm" in run else None
    measured = run["reward"].finite if run.kind == "reinforcement" and "reward" in run else losses
    if norms is None or min(len(norms), len(measured)) < LEAST_RECORDS:
        yield NotChecked(
            f"a loss of {'rewards' if run.kind == 'reinforcement' else 'pairs'} need not fall by much, and its gradients are not logged"
        )
        return
    moved = course(measured.values)
    better = moved.falls if measured is losses else moved.rises
    if norms.values.any() or better:  # a loss that falls shows that the norm was not computed
        return
    what = "loss" if measured is losses else "reward"
    yield Finding(
        f"Nothing is learned: the gradient norm is 0 in every record, and the {what} goes from {figure(moved.start, 3)} to {figure(moved.end, 3)}.",
        int(norms.steps[0]),
        int(norms.steps[-1]),
        "grad_norm",
        {"start": moved.start, "end": moved.end, "records": len(norms)},
        (
            "List the parameters with requires_grad: those that should be trained are frozen or detached.",
            "If the rewards of each group are equal, no response can be told from another: grade the reward, or take other prompts."
            if run.kind == "reinforcement"
            else "Check that the chosen and the rejected answer differ after truncation.",
        ),
    )


def _learned_at_once(values: np.ndarray, seen: Progress) -> bool:
    return bool(values[0] - seen.end >= max(AT_ONCE * abs(float(values[0])), AT_ONCE_SIGMAS * seen.sigma))


def _clearly_learns(seen: Progress, per_token: bool) -> bool:
    """Tell whether the loss falls so clearly, or is so low, that nothing about the log can hide a run that learned
    nothing."""
    falls = seen.rank_trend <= LEARNS and seen.start - seen.end >= CLEAR_FALL * abs(seen.start)
    return falls or (per_token and 0 < seen.end < KNOWS)


def _blind(run: Run, losses: Series, schedule: Phases | None) -> NotChecked | None:
    """Return why a run that does not learn could look as this one does, None where it could not."""
    share = run.planned_share
    if share is not None and share < FEW_PLANNED:
        return NotChecked(f"only {share:.1%} of the planned steps are done")
    if schedule is not None and schedule.still_warming and len(losses) < FIRST_RECORDS:
        return WARMING_UP
    return None if holds_start(run, losses) else BEGINS_LATER


def _fall_error(seen: Progress) -> float:
    """Return the standard error of the fall from the first to the last third."""
    return MEDIAN_ERROR * seen.sigma * (6 / seen.records) ** 0.5


def _evaluations_fall(run: Run, metric: str) -> bool:
    """Tell whether the evaluations fall from their first to their last: they are of the same text each time."""
    if run.evaluation_loss is None or run.evaluation_loss[0] == metric:
        return False
    values = run.evaluation_loss[1].finite.values
    gained = len(values) >= EVALUATIONS and values[0] - median(values[-2:]) >= GAINED * abs(values[0])
    return bool(gained) and mann_kendall(values) <= RANKS


def _no_trend(seen: Progress, hidden: float) -> bool:
    start = abs(seen.start)
    if max(seen.fall + SURELY * _fall_error(seen), seen.start - seen.end) >= hidden * start:
        return False
    if seen.records < FIRST_RECORDS:
        fall = max(seen.start - seen.end, seen.gain, seen.best_fall)
        return seen.rank_trend > COARSE_TREND and fall < LEAST_FALL * start
    return seen.best_fall < BEST_FALL * start + 1.5 * seen.sigma


def _fell_early(values: np.ndarray, seen: Progress, trivial: float) -> bool:
    """Tell whether some first records lie above the rest by more than chance: what fell at once has no rank trend."""
    n, least = len(values), SMALL_FALL if _may_guess(seen.end) else trivial
    for k in distinct(np.geomspace(EARLIEST, max(EARLIEST, n // 2), 8).astype(int)).tolist():
        error = MEDIAN_ERROR * seen.sigma * (1 / k + 1 / max(n - k, 1)) ** 0.5
        fell = float(median(values[:k]) - median(values[k:])) if n > 2 * k else 0.0
        level = abs(seen.end)
        large = fell >= max(EARLY_ERRORS * error, AT_ONCE * level)
        small = fell >= max(SMALL_ERRORS * error, SMALL_FALL * level)
        if fell > 0 and (large or small or fell >= max(LITTLE_ERRORS * error, least * level)):
            return True
    return False


def _may_guess(level: float) -> bool:
    """Tell whether guessing may cost so much: among the tokens of a vocabulary, or among a few answers."""
    answers = round(exp(min(level, KNOWS)))
    return level >= KNOWS or (answers > 1 and abs(level / log(answers) - 1) <= OF_ANSWERS)


def _trivial_gain(seen: Progress, trivial: float) -> bool:
    limit = trivial * (TRIVIAL_ABOVE if seen.end >= HIGH else 1.0) * abs(seen.end)
    return seen.start - seen.end + SURE * seen.end_error < limit and seen.gain + SURE * seen.gain_error < limit


def _message(metric: str, seen: Progress, flat: bool) -> str:
    name, start, end = "The loss" if metric == "loss" else metric, figure(seen.start), figure(seen.end)
    if seen.end - seen.start >= ROSE * abs(seen.start):
        return (
            f"{name} has a median of {end} over the last quarter of {seen.records:,} records, above the {start} of its first "
            "ones."
        )
    gain = f"a gain of {seen.gain / abs(seen.end or 1):.2%}" if seen.gain > 0 else "no gain"
    why = "without a downward trend" if flat else gain
    does = "does not fall" if flat or seen.gain <= 0 else "hardly falls"
    return (
        f"{name} {does}: a median of {start} at first and of {end} over the last quarter, {why} in {seen.records:,} "
        "records."
    )


def _advice(run: Run, schedule: Phases | None) -> tuple[str, ...]:
    steps = ["Overfit one batch: if its loss does not go to zero, the loop is broken, not the settings."]
    first = advice.set_in_motion(run)
    if first:
        steps = [*first, *steps]
    elif "grad_norm" in run and 0 <= run["grad_norm"].finite.values.max(initial=-1) < 1e-6:
        steps.insert(
            0, "The gradient norm is as good as zero: the weights are frozen, or the loss does not depend on them."
        )
    elif schedule is not None:
        larger = "ten times larger" if schedule.peak < SMALL_PEAK else "a factor of ten apart, both ways"
        steps.append(f"Then try learning rates {larger}; the peak was {figure(schedule.peak, 2)}.")
    return (
        *steps,
        advice.labels(run),
        "Then try learning rates a factor of ten apart, both ways."
        if schedule is None and "lr" not in run
        else "Check which parameters the optimizer holds.",
    )
