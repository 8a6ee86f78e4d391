from math import exp

import numpy as np
from msgspec import Struct

from lmdiag import advice
from lmdiag.figures import figure, times
from lmdiag.finding import NOT_POSITIVE, Curve, Finding, Findings, NotChecked, Severity, rule, too_few
from lmdiag.run import Run, Series
from lmdiag.stats.course import course
from lmdiag.stats.limits import MOST_EVALUATIONS, NEAR_UNIFORM
from lmdiag.stats.noise import drift, median_difference_error, scatter, smoothing
from lmdiag.stats.rebound import left_behind_together, sustained_rise
from lmdiag.stats.returning import JUMPS_ABOUT, jumps
from lmdiag.stats.turning import SETTLED_FROM, Turn, rises_smoothly, turn, variance_of_few
from lmdiag.stats.windows import median
from lmdiag.task_measures import Better, better_later

OF_PAIRS = 3.0
ALL_RANKED = 0.01  # nats, of preferences: a margin of 4.6 for every pair, and none that is wrong
AWAY, UNTIL, LAST = 0.3, 5, 20  # of the level before a jump; evaluations until the turn, and at the end
AFTER = 2  # evaluations after the best one; logs of one evaluation per epoch have no more
STEADY = 3  # evaluations that each are worse than the one before: then the last of them counts, and not their mean
# Variances by which a fit that rises again is better: one in 200 sequences of flat noise, of 3 to 11 points and of more, whose median of three is taken.
GAIN, GAIN_OF_MANY = 34.0, 32.0
# Up to so many evaluations, those before the best one tell nothing of the noise, or the last of them alone: they fall steeply. Of more, five do.
FEW, SOME, BEFORE_BEST = 6, 12, 5
# What one evaluation scatters by, as a share of its level, and how many second differences that is worth: where the training loss went on
# falling since the best one, which speaks for overfitting; and where nothing does, when evaluations of a few batches are possible.
EXPECTED, UNKNOWN = (0.007, 2.0), (0.06, 3.0)
WENT_ON, WENT_ON_ERRORS = 0.1, 3.0  # by which it must have fallen, and in standard errors
AS_MUCH = 0.5  # of the evaluation's rise, in shares: what raises the training loss so far is not learned by heart
MEMORISED_RISE, MEMORISED = 0.10, 0.5
WELL_ABOVE = 0.2  # of up to twelve evaluations: the mean of those since the best, beside a training loss of half of it
# Nats of training, beside perplexities of the evaluation that only guesses over a vocabulary of thousands have
BY_HEART = 0.5
# Nats of training and of one or two evaluations, which show no course: one token in seventy is tossed for there, a third is known here.
TO_THE_LAST_TOKEN, NOT_KNOWN = 0.01, 1.0
ALL_RIGHT = 0.9995  # accuracy of a set, in the median of its last three evaluations
# The last of fewer than six evaluations, alone: its rise, also in standard deviations of a training record (an evaluation scatters less)
JUMP, JUMP_SIGMAS, JUMP_RECORDS = 0.25, 8.0, 20
MANIFOLD = 9.0  # a rise to ten times the level is told in times
MOST_ERRORS = 1000.0  # beyond it the number says only that there is no noise


class Rise(Struct, frozen=True):
    """A rise of the evaluations since the best of them: from which level, by how much, and in how many standard errors."""

    low: float
    rise: float
    errors: float = 0.0

    @property
    def share(self) -> float:
        return self.rise / max(self.low, 1e-300)


class Since(Struct, frozen=True):
    """The level of the training loss before and after a step, and the losses of which `width` tell each of the two."""

    before: float
    after: float
    width: int
    losses: np.ndarray

    def is_clear(self, change: float) -> bool:
        """Tell whether a change from one level to the other is clearly more than the error of their difference."""
        if len(self.losses) <= SOME:  # of which the slope would pass for noise
            return change >= 0
        error = median_difference_error(scatter(self.losses), smoothing(self.losses), self.width, self.width)
        return change >= WENT_ON_ERRORS * error


@rule(family="generalization", needs=("evaluation",), severity=Severity.WARNING, min_points=1)
def check(
    run: Run, evaluation: Curve, *, smallest: float = 0.015, warning: float = 0.02, error: float = 0.10
) -> Findings:
    """Evaluation loss rises while training loss does not.

    ## What it looks for
    An evaluation loss that ends above its best value, by more than its noise and still rising, while the training loss goes on falling
    or stays.

    ## How it decides
    Two fits to the evaluations are compared, neither with a shape of its own (isotonic regression): one that only falls, which is what a healthy run
    does, and one that falls and then rises. The second must be closer by 34 variances of one evaluation (32 of 12 evaluations or more), which flat noise of any size reaches in one of
    200 runs of 3 to 200 evaluations; of 12 or more, a single low evaluation, a single high one before the last two, or a single high one at the end, does not count. The variance comes from
    second differences, so that slope is not taken for noise; of 40 evaluations or more it is at least what their correlation makes of it, unless the 20 or more since the turn rise so steadily (the gain is 150 times what they miss a fit that only rises by, in squares) that no wander does, or the last 20 all lie above
    the six until the turn, and end three tenths above its level. A handful of evaluations does not tell it: then what is usual counts as well, 0.7%
    of the level where the training loss has fallen by a tenth since the best evaluation, 6% where nothing speaks for overfitting. Of up to twelve, a mean
    since the best one that is a fifth higher is enough beside a training loss of half of it: no noise of the evaluations explains both. Of fewer than six the last alone is enough
    if it is a quarter higher, and by eight times what a record of training scatters by: an evaluation averages over more text than a record.

    | what | measured on |
    |---|---|
    | level before the rise | the lowest level of the second fit: a mean, and not the luckiest evaluation |
    | level at the end | the mean of the last three (of many, a fifth of those since the best); the last alone if three or more rise without a break |
    | least rise | `smallest` of the level; two evaluations must follow the best one, or one, a tenth higher, if the training loss is half of it |
    | severity | from `warning` a warning, from `error` an error, unless accuracy, or another measure of the task, ends better than it was at the best loss; in training on preferences three times as much, and the median of the last fifth must stand above the lowest rolling median by three standard errors and three deviations |
    | information | the accuracy of the same set is 1 in the end: no answer is lost |
    | one degree less | the training loss has risen since by half of that share or more, and by three of its standard errors: what raises both is not learned by heart |

    No rise need be seen where the log has perplexities, and that of the evaluation stays above 3,000 (8 nats) beside one of the training below 1.65 (0.5 nat), or where one
    or two evaluations are all there is, above 2.72 (1 nat) beside one below 1.01: a warning.

    Several evaluation sets are averaged. Where the training loss rises and stays up as well, or was lowest at the same time and never again,
    `divergence` says so and this rule is silent.

    ## Why it matters
    The model memorises: every step since the best evaluation made it worse on new text.

    ## False alarms it avoids
    Noisy evaluations, ones that jump about (a quarter of the changes in their last half fourfold, up and down), the best of many, a rise of the training loss, evaluations after training, other measures than loss,
    losses of preferences that stay below 0.01 nats, where every pair is ranked correctly.

    ## What to try
    Keep the checkpoint of the best evaluation and stop there. Then fewer epochs, more data, dropout or weight decay, a lower learning rate, or
    LoRA with a smaller rank.

    ## References
    - Barlow, Bartholomew, Bremner & Brunk 1972, Statistical inference under order restrictions.
    - Prechelt 1998, Early stopping - but when?, doi:10.1007/3-540-49430-8_3.
    """
    metric, losses = evaluation
    if len(losses) < 3:
        yield _by_heart(run, metric, losses) or too_few(len(losses), "finite evaluations", 3)
        return
    best = int(np.argmin(losses.values))
    lowest = float(losses.values[best])
    if lowest <= 0:
        yield NOT_POSITIVE
        return
    if jumps(losses.values) >= JUMPS_ABOUT:
        yield NotChecked(f"a quarter of the changes of {metric} in its last half are fourfold or more")
        return
    found = _rise(run, losses, smallest)
    if found and run.kind == "preference" and (found.low + found.rise < ALL_RANKED or not _level_rose(losses.values)):
        found = None
    if found is None:
        known = _by_heart(run, metric, losses)
        yield from [known] if known else _unsure(losses.values, best, smallest, error)
    elif not _diverges(run, losses):
        yield _finding(run, metric, losses, best, found, warning, error)


def _by_heart(run: Run, metric: str, losses: Series) -> Finding | None:
    """Tell of a perplexity near 1 in training beside one of thousands, or one no course shows: no rise need be seen to know what that is."""
    evaluated = [s.finite.values[-3:] for name, s in run.series.items() if name.endswith("/ppl") and len(s.finite)]
    late = run["loss"].finite.values[-3:] if "loss" in run else np.empty(0)
    if not evaluated or not len(late):
        return None
    lowest, learned = min(map(np.min, evaluated)), float(median(late))
    guesses = lowest >= exp(NEAR_UNIFORM) and learned <= BY_HEART
    if not guesses and (len(losses) >= 3 or lowest < exp(NOT_KNOWN) or not 0 <= learned <= TO_THE_LAST_TOKEN):
        return None
    trained, end = float(late[-1]), float(losses.values[-1])
    costs, known = (
        (", as guesses over thousands of tokens cost,", "nothing") if guesses else (" nats per token", "much less")
    )
    return Finding(
        f"{metric} ends at {figure(end)}{costs} and the training loss at {figure(trained)}: the training "
        f"text is known by heart, and {known} of any other.",
        int(losses.steps[0]),
        int(losses.steps[-1]),
        metric,
        {"best": float(losses.values.min()), "end": end},
        (
            "Evaluate on a part of the training text: if that is as bad, the evaluation is wrong (its vocabulary, its shift, its weights).",
            "More or more varied data; dropout or weight decay; a smaller model.",
        ),
        Severity.WARNING,
    )


def _rise(run: Run, losses: Series, smallest: float) -> Rise | None:
    """Return the rise since the best evaluations that is more than noise and luck, None where there is none."""
    losses = losses.thinned(MOST_EVALUATIONS)
    values, best = losses.values, int(np.argmin(losses.values))
    lowest, after = float(values[best]), values[best + 1 :]
    if len(after) < AFTER:
        rise = float(np.mean(after)) - lowest if len(after) else 0.0
        return Rise(lowest, rise) if _memorised(run, lowest, rise) or _jumped(run, losses, best, rise) else None
    found = turn(values)
    went_on = _training_went_on(run, int(losses.steps[best]))
    if len(values) <= SOME:
        first = best if went_on and len(values) <= FEW else best - 1
    else:
        first = min(best - BEFORE_BEST, len(values) // 2)
    expected, weight = EXPECTED if went_on else UNKNOWN if len(values) <= SOME else (UNKNOWN[0], 1.0)
    sigma = float(np.sqrt(variance_of_few(values[max(first, 0) :], expected * lowest, weight, averaged=went_on)))
    steady = len(after) >= STEADY and bool((np.diff(values[best:]) > 0).all())
    tail = after[-1:] if steady else after[-max(3, len(after) // 5) :]
    rise = float(np.mean(tail)) - found.low
    if not rises_smoothly(values, found) and not _stays_away(values, found, rise):
        sigma = max(sigma, drift(values[max(first, 0) :]))
    if rise < smallest * found.low:
        return None
    if found.gain < (GAIN if len(values) < SETTLED_FROM else GAIN_OF_MANY) * sigma**2:
        by_heart = len(values) <= SOME and _memorised(run, lowest, float(np.mean(after)) - lowest, WELL_ABOVE)
        return Rise(lowest, float(np.mean(after)) - lowest) if by_heart else None
    return Rise(found.low, rise, rise / sigma)


def _jumped(run: Run, losses: Series, best: int, rise: float) -> bool:
    """Tell whether the last of a few evaluations stands so far above the best that the noise of the training loss, which did not rise, is no reason."""
    trained = run["loss"].finite if "loss" in run else losses.at(slice(0))
    lowest, since = float(losses.values[best]), trained.values[trained.steps > losses.steps[best]]
    if (
        len(losses) >= FEW
        or len(since) < AFTER
        or len(trained) < JUMP_RECORDS
        or trained.values.min() <= 0
        or rise < JUMP * lowest
    ):
        return False
    logs = np.log(trained.values)
    # Averaged noise changes less from record to record than it is large
    noise = scatter(logs) / np.sqrt(1 - smoothing(logs))
    return bool(np.log1p(rise / lowest) >= JUMP_SIGMAS * noise) and not _training_rose(
        run, int(losses.steps[best]), rise / lowest
    )


def _stays_away(values: np.ndarray, found: Turn, rise: float) -> bool:
    """Tell whether the loss jumped and did not come back: the correlation that a jump leaves in a curve is no wander."""
    before = values[max(found.at - UNTIL, 0) : found.at + 1]
    return len(values) - found.at > LAST and rise >= AWAY * found.low and bool((values[-LAST:] > before.max()).all())


def _level_rose(values: np.ndarray) -> bool:
    """Tell whether the level of the evaluations rose: the loss of few pairs is heavy-tailed, and a few low ones in a row may be luck."""
    if len(values) < FEW:
        return True
    moved = course(values)
    return moved.end - moved.low >= max(3 * moved.error, 3 * scatter(values))


def _unsure(values: np.ndarray, best: int, smallest: float, error: float) -> Findings:
    """Say so where the evaluations end above their best and more of them might show that it is no chance."""
    after, lowest = values[best + 1 :], float(values[best])
    risen = (float(np.mean(after[-3:])) / lowest - 1) if len(after) else 0.0
    if 0 < len(after) < AFTER and risen >= smallest:
        yield too_few(len(after), "evaluations since the best one", AFTER)
    elif len(values) < SOME and risen >= error:
        yield NotChecked(
            f"{len(values)} evaluations, the last of them {risen:.0%} above the best, do not tell a rise from noise"
        )


def _training_went_on(run: Run, step: int) -> bool:
    """Tell whether the training loss has clearly fallen since a step: what rises meanwhile is not likely to be noise."""
    since = _training_since(run, step)
    if since is None:
        return False
    fall = since.before - since.after
    return fall >= WENT_ON * since.before and since.is_clear(fall)


def _training_rose(run: Run, step: int, share: float) -> float:
    """Return by which share the training loss has clearly risen since a step, 0 where that is not as much as half of a share."""
    since = _training_since(run, step)
    if since is None or since.before <= 0 or len(since.losses) <= SOME:
        return 0.0
    rise = since.after - since.before
    enough = rise >= AS_MUCH * share * since.before and since.is_clear(rise)
    return rise / since.before if enough else 0.0


def _training_since(run: Run, step: int) -> Since | None:
    if "loss" not in run:
        return None
    losses = run["loss"].finite
    before, after = losses.values[losses.steps <= step], losses.values[losses.steps > step]
    if len(before) < 1 or len(after) < 2:
        return None
    width = max(1, min(len(before), len(after)) // 3)
    return Since(float(median(before[-width:])), float(median(after[-width:])), width, losses.values)


def _diverges(run: Run, evaluations: Series) -> bool:
    """Tell whether the training loss rose as well, and stayed up: then `divergence` says so."""
    if "loss" not in run:
        return False
    losses = run["loss"].finite
    if sustained_rise(losses.values) is not None:
        return True
    judged = run.curve is not None and run.curve[0] == "loss"
    return judged and bool(left_behind_together(losses.steps, losses.values, evaluations.steps, evaluations.values))


def _memorised(run: Run, lowest: float, rise: float, least: float = MEMORISED_RISE) -> bool:
    """Tell whether the evaluation is a tenth worse, or as much as asked for, while the training loss is less than half of it: one
    evaluation shows that."""
    losses = run["loss"].finite.values if "loss" in run else np.empty(0)
    return rise >= least * lowest and len(losses) >= 3 and float(median(losses[-3:])) <= MEMORISED * lowest


def _all_right(run: Run, metric: str) -> bool:
    """Tell whether the accuracy of the same set is 1 at the end: what rises is how sure the answers are, and none is lost."""
    scores = run.series.get(f"{metric.rpartition('/')[0]}/accuracy")
    return scores is not None and len(scores.finite) > 0 and float(median(scores.finite.values[-3:])) >= ALL_RIGHT


def _which_to_keep(run: Run, metric: str, step: int, better: Better) -> str:
    return (
        f"Keep the checkpoint of {run.place(better.step)} if {better.name} counts ({figure(better.value)}), "
        f"that of {run.place(step)} if {metric} does."
    )


def _finding(run: Run, metric: str, losses: Series, best: int, found: Rise, warning: float, error: float) -> Finding:
    step, lowest = int(losses.steps[best]), float(losses.values[best])
    pairs = run.kind == "preference"
    better = better_later(run, metric, step)
    if pairs:  # the loss tells how sure the wrong ones are; a few percent are usual
        warning, error = OF_PAIRS * warning, OF_PAIRS * error
    sure = found.share >= error and len(losses) - best > AFTER and better is None
    severity = Severity.ERROR if sure else Severity.WARNING if found.share >= warning else Severity.INFO
    together = 0.0 if pairs else _training_rose(run, step, found.share)
    if together:
        severity = Severity.WARNING if sure else Severity.INFO
    right = _all_right(run, metric)
    if right:
        severity = Severity.INFO
    risen = f"by {found.share:.1%}" if found.share < MANIFOLD else f"{times(1 + found.share)} times as much"
    as_well = f"; the training loss rose as well, by {together:.1%}" if together else ""
    as_well += "; all answers are right nevertheless" if right else ""
    noise = f", {figure(found.errors, 2)} times its noise" if 0 < found.errors < MOST_ERRORS else ""
    evidence = {
        "best": lowest,
        "end": found.low + found.rise,
        "rise": found.rise,
        "rise_share": found.share,
        "evaluations_after": len(losses) - best - 1,
        "level_before": found.low,
        "times_its_noise": found.errors,
    }
    epoch = figure(run.value_at("epoch", step) or 0, 2)
    enough = "" if epoch == "0" else f": {epoch} epoch{' is' if epoch == '1' else 's are'} enough"
    return Finding(
        f"{metric} was best at {run.place(step)} ({figure(lowest)}) and has risen since, from a level of {figure(found.low)} "
        f"to {figure(found.low + found.rise)}: {risen}{noise}{as_well}.",
        step,
        int(losses.steps[-1]),
        metric,
        evidence,
        (
            advice.keep_best(run, metric, step, lowest)
            if better is None
            else _which_to_keep(run, metric, step, better),
            f"Stop there next time{enough}, or use early stopping.",
            "Look at what raised both losses there, a higher learning rate or other data: the text was not learned by heart."
            if together
            else "More or more varied data; dropout or weight decay; a lower learning rate.",
        ),
        severity,
    )
