"""What a model is for, as its evaluations measure it: accuracy, F1, ROUGE, error rates. These and the loss can want different checkpoints."""

from __future__ import annotations

import re

import numpy as np
from msgspec import Struct

from lmdiag.naming import evaluation_set
from lmdiag.patterns import lazy
from lmdiag.run import Run, Series
from lmdiag.stats.course import SIGMAS, course
from lmdiag.stats.noise import scatter
from lmdiag.stats.windows import median

HIGHER_IS_BETTER = lazy(
    r"accuracy|(^|_)acc($|_)|f1|auc|matthews|rouge|bleu|chrf|meteor|exact_?match|(^|_)(map|em)($|_)", re.IGNORECASE
)
LOWER_IS_BETTER = lazy(r"(^|_)(wer|cer)($|_)", re.IGNORECASE)
GIVEN_AN_INPUT = lazy(r"rouge|bleu|(^|_)(wer|cer|chrf|meteor)($|_)", re.IGNORECASE)
# What only programs log that train for something else: reward models, embeddings, rankings, speech, regression.
OTHER_AIMS = lazy(
    r"(^|[/_-])(cosine|pearson|spearman|ndcg|mrr|hits?(@?\d+)?|triplet|contrastive|margins?|(min|mean|max)_reward|wer|cer)($|[/_@-])|(^|/)(mae|r?mse|mape|r2|psnr)$",
    re.IGNORECASE,
)
WHOLE_ANSWERS = lazy(r"(^|_)(wer|cer|ser|ned|ed|edit_distance|exact_match|em)($|_)", re.IGNORECASE)
OF_PROGRESS = {"reinforcement": ("reward",), "preference": ("reward_margin", "reward_accuracy")}
FEWEST_OF_PROGRESS = 3
DRAWN = {
    "reinforcement": ("reward", "val/reward", "kl", "sequence_kl"),
    "preference": ("reward_margin",),
}  # before others
LEAST_GAIN = 0.01
CARRIED_OVER = 0.2  # of the gain of the training reward: an evaluation that gains less gained something else
GAINED = 0.1  # of its own level: an evaluation that gained as much, beyond its noise, did not stay
FEWEST_EVALUATIONS, FEWEST_REWARDS = 5, 10
LOST = 0.5  # of what an evaluation had gained
JUDGED, LOST_ANSWERS = ("/accuracy", "/reward"), 0.2  # of its highest level
OF_MANY = 6.0  # standard errors: the highest of many levels is high by luck


def is_score(name: str) -> bool:
    """Tell whether a metric scores the answers of a model, up or down.

    >>> is_score("accuracy"), is_score("wer"), is_score("lr")
    (True, True, False)
    """
    return bool(HIGHER_IS_BETTER.search(name) or LOWER_IS_BETTER.search(name))


class Better(Struct, frozen=True):
    """A measure of the task that gained after the loss was best: its best step and value, and its value then."""

    name: str
    step: int
    value: float
    then: float


class LeftBehind(Struct, frozen=True):
    """An evaluation of the reward, or of right answers, that did not follow that of the training: since which step, and the levels of both, then and at the end.

    `fell`: it fell from its best level; else it stayed, and its first and last levels are told.
    """

    name: str
    step: int
    trained: tuple[float, float]
    evaluated: tuple[float, float]
    fell: bool


def progress(run: Run) -> tuple[str, Series] | None:
    """Return what shows how far a run has come, with its name: the reward of a policy, the margin of preferences, else the loss.

    >>> made = Run("a", {n: Series(np.arange(3), np.ones(3)) for n in ("loss", "reward")}, objective="reinforcement")
    >>> progress(made)[0]
    'reward'
    """
    for name in OF_PROGRESS.get(run.kind, ()):
        if name in run and len(run[name].finite) >= min(FEWEST_OF_PROGRESS, len(run.curve[1]) if run.curve else 1):
            return name, run[name]
    return run.measured


def follows_an_input(run: Run) -> bool:
    """Tell whether the text is a translation, a transcript or a summary, as its measures say: its input determines most of it.

    >>> from lmdiag.run import Series
    >>> follows_an_input(Run("a", {"val/wer": Series(np.array([1]), np.array([0.3]))}))
    True
    """
    return any(GIVEN_AN_INPUT.search(name.rpartition("/")[2]) for name in run.series)


def grades_whole_answers(run: Run) -> bool:
    """Tell whether a log measures whole answers, such as transcripts: an accuracy beside that may be the share that is right throughout.

    >>> from lmdiag.run import Series
    >>> grades_whole_answers(Run("a", {"norm_ED": Series(np.array([1]), np.array([0.3]))}))
    True
    """
    return any(WHOLE_ANSWERS.search(name.rpartition("/")[2]) for name in run.series)


def left_behind(run: Run) -> LeftBehind | None:
    """Return the evaluation whose reward does not follow that of the training, None where one follows or noise may hide that it does."""
    trained = run["reward"].finite if "reward" in run else None
    sets = {name: s.finite for name, s in run.series.items() if name.endswith("/reward") and evaluation_set(name)}
    sets = {name: evaluated for name, evaluated in sets.items() if len(evaluated) >= FEWEST_EVALUATIONS}
    if trained is None or not sets:
        return None
    found = [_fell(name, evaluated, trained) or _stayed(name, evaluated, trained) for name, evaluated in sets.items()]
    return found[0] if all(found) else None


def worse_answers(run: Run) -> LeftBehind | None:
    """Return the evaluation whose accuracy fell while the reward of the training rose on, None where the reward or accuracy of another set did not."""
    trained = run["reward"].finite if "reward" in run else None
    sets = {name: s.finite for name, s in run.series.items() if name.endswith(JUDGED) and evaluation_set(name)}
    sets = {name: evaluated for name, evaluated in sets.items() if len(evaluated) >= FEWEST_EVALUATIONS}
    if trained is None or not sets:
        return None
    found = [_fell(name, s, trained, CARRIED_OVER if name.endswith("/reward") else 0.0) for name, s in sets.items()]
    first = found[0]
    kept = 1 - LOST_ANSWERS
    return first if first and all(one and one.evaluated[1] <= kept * one.evaluated[0] for one in found) else None


def _stayed(name: str, evaluated: Series, trained: Series) -> LeftBehind | None:
    """Return an evaluation that gained nothing of what the training gained since it was first made, by its lowest start and its noise."""
    first = int(evaluated.steps[0])
    since = trained.between(first, np.inf)
    seen = course(evaluated.values)
    if len(since) < FEWEST_REWARDS or seen.rises:
        return None
    moved = course(since.values)
    start, end = float(evaluated.values[:2].min()), float(median(evaluated.values[-2:]))
    most = max(end, seen.end) - start + SIGMAS * seen.error
    gained = end - start > max(SIGMAS * seen.error, GAINED * abs(start))
    if gained or not moved.rises or most >= CARRIED_OVER * moved.gain:
        return None
    return LeftBehind(name, first, (moved.start, moved.end), (float(evaluated.values[0]), end), fell=False)


def _fell(name: str, evaluated: Series, trained: Series, share: float = CARRIED_OVER) -> LeftBehind | None:
    """Return an evaluation that lost clearly since its best level, and a share of what the reward of the training gained meanwhile."""
    seen, noise = course(evaluated.values), scatter(evaluated.values)
    first = float(evaluated.values[0])
    at_once = first - SIGMAS * noise > seen.high  # the policy that training began with was the best
    high, row = (first, 0) if at_once else (seen.high, min(seen.high_at, len(evaluated) - 1))
    peak = int(evaluated.steps[row])
    since = trained.between(peak, np.inf)
    lost = high - seen.end
    if len(since) < FEWEST_REWARDS or lost < max(OF_MANY * seen.error, 2 * noise, LOST * (high - first)):
        return None
    moved = course(since.values)
    if not moved.rises or lost < share * moved.gain:
        return None
    return LeftBehind(name, peak, (moved.start, moved.end), (high, seen.end), fell=True)


def better_later(run: Run, metric: str, best_step: int, least: float = LEAST_GAIN) -> Better | None:
    """Return the measure of the task, on the same split, that ends better by `least` than it was at the best loss; None if there is none."""
    split = metric.rpartition("/")[0]
    for name, series in run.series.items():
        of_split, _, measure = name.rpartition("/")
        sign = 1.0 if HIGHER_IS_BETTER.search(measure) else -1.0 if LOWER_IS_BETTER.search(measure) else 0.0
        scores = series.finite
        if not sign or of_split != split or len(scores) < 3:
            continue
        top = int(np.argmax(sign * scores.values))
        then = scores.values[max(0, int(np.searchsorted(scores.steps, best_step, side="right")) - 1)]
        if sign * (float(median(scores.values[-2:])) - then) >= least:
            return Better(name, int(scores.steps[top]), float(scores.values[top]), float(then))
    return None
