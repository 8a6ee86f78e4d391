from math import exp

import numpy as np

from lmdiag import advice
from lmdiag.evaluations import AFTER, FEW, SOME, Rise, risen, training_rose
from lmdiag.figures import figure, times
from lmdiag.finding import NOT_POSITIVE, Curve, Finding, Findings, NotChecked, Severity, rule, too_few
from lmdiag.run import Run, Series
from lmdiag.stats.course import course
from lmdiag.stats.limits import EQUAL, NEAR_UNIFORM
from lmdiag.stats.noise import scatter
from lmdiag.stats.rebound import left_behind_together, sustained_rise
from lmdiag.stats.returning import JUMPS_ABOUT, jumps
from lmdiag.stats.windows import median
from lmdiag.task_measures import LEAST_GAIN, Better, better_later

OF_PAIRS = 3.0
SETS_FROM = 4  # evaluations of each of several sets
ALL_RANKED = 0.01  # nats, of preferences: a margin of 4.6 for every pair, and none that is wrong
# Nats of training, beside perplexities of the evaluation that only guesses over a vocabulary of thousands have
BY_HEART = 0.5
# Nats of training and of one or two evaluations, which show no course: one token in seventy is tossed for there, a third is known here.
TO_THE_LAST_TOKEN, NOT_KNOWN = 0.01, 1.0
HALF = 0.5  # of the run, since the best evaluation: so many steps made the model worse, however little
BETTER = 0.001
# Evaluations before a jump; shares of the rise and of the level; training losses on either side, and how near they are
BEFORE_A_JUMP, AT_ONCE, JUMP, BESIDE, AS_BEFORE = 4, 0.8, 0.1, 5, 0.1
SOME_RIGHT = 0.1  # of all answers: where fewer are right, no gain of them outweighs a loss
ALL_RIGHT = 0.9995  # accuracy of a set, in the median of its last three evaluations
MANIFOLD = 9.0  # a rise to ten times the level is told in times
EVALUATE_TRAINED = "Evaluate on a part of the training text: if that is as bad, the evaluation is wrong (its vocabulary, its shift, its weights)."
STOP_THERE = "Stop there next time{}, or use early stopping."
REGULARISE = "More or more varied data; dropout or weight decay; a lower learning rate."
MOST_ERRORS = 1000.0  # beyond it the number says only that there is no noise


@rule(family="generalization", needs=("evaluation",), severity=Severity.WARNING, min_points=1)
def check(
    run: Run,
    evaluation: Curve,
    *,
    smallest: float = 0.015,
    warning: float = 0.02,
    error: float = 0.10,
    of_one_set: float = 0.04,
) -> Findings:
    """Evaluation loss rises while training loss does not.

    ## What it looks for
    An evaluation loss that ends above its best value, by more than its noise and still rising, while the training loss goes on falling
    or stays.

    ## How it decides
    Two fits to the evaluations are compared, neither with a shape of its own (isotonic regression): one that only falls, which is what a healthy run
    does, and one that falls and then rises. The second must be closer by 34 variances of one evaluation (32 of 12 evaluations or more), which flat noise of any size reaches in one of
    200 runs of 3 to 200 evaluations; of 12 or more, a single low evaluation, a single high one before the last two, or a single high one at the end, does not count. The variance comes from
    second differences, so that slope is not taken for noise; of more than 12 evaluations it is enlarged by what neighbours of them, around the second fit, have in common, and of 40 or more it is at least what their correlation makes of it, unless the 20 or more since the turn rise so steadily (the gain is 150 times what they miss a fit that only rises by, in squares) that no wander does, or the last 20 all lie above
    the six until the turn, and end three tenths above its level. A handful of evaluations does not tell it: then what is usual counts as well, 0.7%
    of the level where the training loss has fallen by a tenth since the best evaluation, 6% where nothing speaks for overfitting. Of up to twelve, four or more since the best one that
    jumped above the three or more until it are enough, by a tenth and seven standard errors of what they scatter by on either side of the jump: noise of any size does that in one of 10,000 logs. So are four rises in a row, to the last one and by a tenth together, that bend so little
    that the whole is eight times the largest of their second differences: as rare. So is a mean
    since the best one that is a fifth higher beside a training loss of half of it: no noise of the evaluations explains both. Of fewer than six the last alone is enough
    if it is a quarter higher, and by eight times what a record of training scatters by: an evaluation averages over more text than a record.

    | what | measured on |
    |---|---|
    | level before the rise | the lowest level of the second fit: a mean, and not the luckiest evaluation |
    | level at the end | the mean of the last three (of many, a fifth of those since the best); the last alone if three or more rise without a break, or 20 steadily |
    | least rise | `smallest` of the level; two evaluations must follow the best one, or one, a tenth higher, if the training loss is half of it |
    | severity | from `warning`, or where half of the run came after the best evaluation, a warning, from `error` an error, unless accuracy, or another measure of the task, ends no worse than it was at the best loss (of preferences better by 0.01); in training on preferences three times as much, and the median of the last fifth must stand above the lowest rolling median by three standard errors and three deviations |
    | information | the accuracy of the same set is 1 in the end: no answer is lost; below `error`, that measure ends better by 0.01 and reaches 0.1 |
    | one degree less | the training loss has risen since by half of that share or more, and by three of its standard errors: what raises both is not learned by heart |

    No rise need be seen where the log has perplexities, and that of the evaluation stays above 3,000 (8 nats) beside one of the training below 1.65 (0.5 nat), or where one
    or two evaluations are all there is, above 2.72 (1 nat) beside one below 1.01: a warning.

    Several evaluation sets are averaged, as single ones drift. One of them, of four evaluations or more, is named where it rises by `of_one_set` (4%), tested as
    above (the bar is higher by half the natural logarithm of the number of sets), while another does not rise and is lower than it was at the best evaluation of the first: a
    warning, for what is forgotten may not be needed, and an error where the mean rises so far that it is one. Where the training loss rises and stays up as well, or was lowest at the same time and never again,
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
    found = risen(run, losses, smallest)
    forgotten = _forgotten(run, metric, found, smallest, of_one_set, error)
    if forgotten:
        yield forgotten
        return
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
            EVALUATE_TRAINED,
            "More or more varied data; dropout or weight decay; a smaller model.",
        ),
        Severity.WARNING,
    )


def _level_rose(values: np.ndarray) -> bool:
    """Tell whether the level of the evaluations rose: the loss of few pairs is heavy-tailed, and a few low ones in a row may be luck."""
    if len(values) < FEW:
        return True
    moved = course(values)
    return moved.end - moved.low >= max(3 * moved.error, 3 * scatter(values))


def _forgotten(
    run: Run, metric: str, together: Rise | None, smallest: float, of_one_set: float, error: float
) -> Finding | None:
    """Tell of the evaluation set that got worst while another one got better since: their mean hides it, and names none."""
    sets = {f"{name}/loss": series.finite for name, series in run.evaluations.items()}
    sets = {name: s for name, s in sets.items() if len(s) >= SETS_FROM and s.values.min() > 0}
    if len(sets) < 2 or run.kind == "preference" or (metric in sets and together):
        return None
    quietest = min(scatter(s.values) / float(median(s.values)) for s in sets.values())
    rises = {name: risen(run, s, smallest, quietest, len(sets)) for name, s in sets.items()}
    lost = {name: rise for name, rise in rises.items() if rise and rise.share >= of_one_set}
    if not lost:
        return None
    name = max(lost, key=lambda name: lost[name].share)
    losses, rise = sets[name], lost[name]
    best = int(np.argmin(losses.values))
    step = int(losses.steps[best])
    falls = {other: _fall_since(sets[other], step) for other, rise in rises.items() if rise is None}
    gained = max(falls, key=lambda other: falls[other], default="")
    if not gained or falls[gained] <= -smallest or jumps(losses.values) >= JUMPS_ABOUT or _diverges(run, losses):
        return None
    sure = together is not None and together.share >= error
    end = float(median(sets[gained].values[-3:]))
    others = (
        f"; so have {len(lost) - 1} other sets" if len(lost) > 2 else "; so has one other set" if len(lost) == 2 else ""
    )
    return Finding(
        f"{name} was best at {run.place_of(name, step)} ({figure(float(losses.values[best]))}) and has risen since, from a level of "
        f"{figure(rise.low)} to {figure(rise.low + rise.rise)}: {_by(rise)}{others}. Meanwhile {gained} {'fell to' if falls[gained] >= EQUAL else 'stayed at'} {figure(end)}: "
        "what the one asks for is forgotten over the other.",
        step,
        int(losses.steps[-1]),
        name,
        _evidence(losses, best, rise) | {"fall_of_another": falls[gained], "end_of_another": end},
        (
            f"Decide by what the model is for: {run.place_of(name, step)} is best for {name}, the best step of {gained} for that set alone.",
            "Mix texts of the kind that is forgotten into the training, a tenth or more of each batch.",
            "A lower learning rate, fewer epochs, or LoRA: weights that move less forget less.",
        ),
        Severity.ERROR if sure else Severity.WARNING,
    )


def _fall_since(losses: Series, step: int) -> float:
    """Return by which share evaluations fell since a step: the median of the last three against the one there."""
    before = losses.values[losses.steps <= step]
    then = float(before[-1]) if len(before) else float(losses.values[0])
    return 1 - float(median(losses.values[-3:])) / then


def _unsure(values: np.ndarray, best: int, smallest: float, error: float) -> Findings:
    """Say so where the evaluations end above their best and more of them might show that it is no chance."""
    after, lowest = values[best + 1 :], float(values[best])
    rise = (float(np.mean(after[-3:])) / lowest - 1) if len(after) else 0.0
    if 0 < len(after) < AFTER and rise >= smallest:
        yield too_few(len(after), "evaluations since the best one", AFTER)
    elif len(values) < SOME and rise >= error:
        yield NotChecked(
            f"{len(values)} evaluations, the last {min(len(after), 3)} on average {rise:.0%} above the best, do not tell a rise from noise"
        )


def _diverges(run: Run, evaluations: Series) -> bool:
    """Tell whether the training loss rose as well, and stayed up: then `divergence` says so."""
    if "loss" not in run:
        return False
    losses = run["loss"].finite
    if sustained_rise(losses.values) is not None:
        return True
    judged = run.curve is not None and run.curve[0] == "loss"
    return judged and bool(left_behind_together(losses.steps, losses.values, evaluations.steps, evaluations.values))


def _all_right(run: Run, metric: str) -> bool:
    """Tell whether the accuracy of the same set is 1 at the end: what rises is how sure the answers are, and none is lost."""
    scores = run.series.get(f"{metric.rpartition('/')[0]}/accuracy")
    return scores is not None and len(scores.finite) > 0 and float(median(scores.finite.values[-3:])) >= ALL_RIGHT


def _finding(run: Run, metric: str, losses: Series, best: int, found: Rise, warning: float, error: float) -> Finding:
    step, lowest = int(losses.steps[best]), float(losses.values[best])
    severity, as_well = _severity(run, metric, losses, best, found, warning, error)
    return Finding(
        f"{metric} was best at {run.place_of(metric, step)} ({figure(lowest)}) and has risen since, from a level of {figure(found.low)} "
        f"to {figure(found.low + found.rise)}: {_by(found)}{as_well}.",
        step,
        int(losses.steps[-1]),
        metric,
        _evidence(losses, best, found),
        _advice(run, metric, losses, best, found, bool(as_well)),
        severity,
    )


def _severity(
    run: Run, metric: str, losses: Series, best: int, found: Rise, warning: float, error: float
) -> tuple[Severity, str]:
    """Return how much a rise matters, and what the training loss or the answers did meanwhile."""
    step, pairs = int(losses.steps[best]), run.kind == "preference"
    if pairs:  # the loss tells how sure the wrong ones are; a few percent are usual
        warning, error = OF_PAIRS * warning, OF_PAIRS * error
    much = found.share >= error
    kept = better_later(run, metric, step, LEAST_GAIN if pairs else 0.0)
    sure = much and len(losses) - best > AFTER and kept is None
    lost = losses.steps[-1] - step >= HALF * (losses.steps[-1] - run.first_step) and not pairs
    severity = Severity.ERROR if sure else Severity.WARNING if found.share >= warning or lost else Severity.INFO
    together = 0.0 if pairs else training_rose(run, step, found.share)
    if together:
        severity = Severity.WARNING if sure else Severity.INFO
    by = f"by {together:.1%}" if together < MANIFOLD else f"to {times(1 + together)} times as much"
    as_well = f"; the training loss rose as well, {by}" if together else ""
    better = None if much else better_later(run, metric, step)
    if _all_right(run, metric):
        severity, as_well = Severity.INFO, f"{as_well}; all answers are right nevertheless"
    elif better is not None and better.value >= SOME_RIGHT:
        severity = Severity.INFO
    return severity, as_well


def _rose_at_once(run: Run, losses: Series, best: int, found: Rise) -> str:
    """Return between which steps a loss rose at once, far and for good, while the training loss went on as before; "" where it did not."""
    rises = np.diff(losses.values)
    row = best + int(np.argmax(rises[best:])) + 1
    far = rises[row - 1] >= max(AT_ONCE * found.rise, JUMP * found.low)
    if not far or row < BEFORE_A_JUMP or "loss" not in run or run.kind == "preference":
        return ""
    training, begin, end = run["loss"].finite, int(losses.steps[row - 1]), int(losses.steps[row])
    before = training.between(run.first_step, begin).values[-BESIDE:]
    after = training.between(end, run.last_step).values[:BESIDE]
    if min(len(before), len(after)) < BESIDE or abs(median(after) / median(before) - 1) > AS_BEFORE:
        return ""
    return f"between {run.place(begin)} and {run.place(end)}"


def _advice(run: Run, metric: str, losses: Series, best: int, found: Rise, together: bool) -> tuple[str, ...]:
    step, lowest = int(losses.steps[best]), float(losses.values[best])
    trained = run["loss"].finite.steps if "loss" in run else losses.steps[:0]
    if best == 0 and len(trained) and step < trained[0]:
        return (
            EVALUATE_TRAINED,
            "If that is good, the texts differ: train on some of the kind that is evaluated.",
            REGULARISE,
        )
    better = better_later(run, metric, step, LEAST_GAIN if run.kind == "preference" else BETTER)
    keep = _which_to_keep(run, metric, step, better) if better else advice.keep_best(run, metric, step, lowest)
    at_once = _rose_at_once(run, losses, best, found)
    if at_once:
        again = f"Evaluate the checkpoint of {run.place_of(metric, step)} again, with the present set and code: nothing is learned by heart at once, and this rose {at_once}."
        return again, keep, "If it is as good as it was, look at what was trained on in between."
    if together:
        cause = "Look at what raised both losses there, a higher learning rate or other data: the text was not learned by heart."
        return keep, STOP_THERE.format(""), cause
    seen, epoch = (run.value_at("epoch", at) or 0.0 for at in (run.last_step, step))
    if 0 < seen < 1:
        cause = f"Look at what is trained on since: after {figure(seen, 2)} epochs no text came twice, and none is known by heart."
        return (
            keep,
            cause,
            "If it is unlike the evaluation, mix the kinds of text from the start; else lower the learning rate.",
        )
    few = figure(epoch, 2)
    enough = "" if few == "0" else f": {few} epoch{' is' if few == '1' else 's are'} enough"
    return keep, STOP_THERE.format(enough), REGULARISE


def _which_to_keep(run: Run, metric: str, step: int, better: Better) -> str:
    return (
        f"Keep the checkpoint of {run.place_of(better.name, better.step)} if {better.name} counts ({figure(better.value)}), "
        f"that of {run.place_of(metric, step)} if {metric} does."
    )


def _by(found: Rise) -> str:
    """Say how far a loss rose."""
    rise = f"by {found.share:.1%}" if found.share < MANIFOLD else f"{times(1 + found.share)} times as much"
    return rise + (f", {figure(found.errors, 2)} times its noise" if 0 < found.errors < MOST_ERRORS else "")


def _evidence(losses: Series, best: int, found: Rise) -> dict[str, float]:
    noise = {"times_its_noise": found.errors} if 0 < found.errors < MOST_ERRORS else {}
    return {
        "best": float(losses.values[best]),
        "end": found.low + found.rise,
        "rise": found.rise,
        "rise_share": found.share,
        "evaluations_after": len(losses) - best - 1,
        "level_before": found.low,
    } | noise
