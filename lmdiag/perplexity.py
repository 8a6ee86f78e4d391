"""The perplexity of a run: of its evaluation, else of the tail of its training loss, and none where it would mean nothing."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from msgspec import Struct

from lmdiag.finding import Finding
from lmdiag.metrics import IN_BITS
from lmdiag.patterns import lazy
from lmdiag.run import Run, Series
from lmdiag.stats.limits import LARGEST_UNIFORM, SCALED
from lmdiag.stats.masked import masked_zeros
from lmdiag.stats.windows import lowest_median, median
from lmdiag.task_measures import OTHER_AIMS

TAIL, LEAST_TAIL = 10, 3  # the last tenth of the training losses, three at least: one batch is luck
# Of a model that answers among a few: what it is measured by, names of an accuracy of tokens, and the loss and accuracy at its start
OF_ANSWERS = lazy(r"^(\w+/)?(\w+_)?(f1|auc|precision|recall|mcc|matthews_correlation)(_\w+)?$")
OF_TOKENS = lazy(r"token|mlm", re.IGNORECASE)
FEW_ANSWERS, MOST_ANSWERS, NEAR, RIGHT = 1.2, 20, 0.03, 2.0  # nats; answers; of ln k; times 1/k
ABOVE_UNIFORM = 1.05  # times the uniform guess: a run that ends above it has not shown that its scale is right


class Perplexity(Struct, frozen=True):
    """exp of a loss in nats per token: the last and the lowest of `metric`, the last one at `step`.

    Each is of one evaluation, or of the median of `records` training losses. Of a masked model it is a pseudo-perplexity: its
    probabilities are those of tokens given all others.
    """

    metric: str
    step: int
    last: float
    best: float
    records: int = 1
    masked: bool = False

    @property
    def name(self) -> str:
        """`perplexity` or `pseudo-perplexity`."""
        return "pseudo-perplexity" if self.masked else "perplexity"


def perplexity_of(run: Run, findings: Iterable[Finding] = ()) -> Perplexity | None:
    """Return the perplexity of a run; None for other objectives, for models that answer among a few, for losses that are masked, summed, or not above 0.

    A `findings` that refutes the scale of a loss takes it out: of the training loss `wrong-loss-scale`, of any the accuracy beside it, or a
    perplexity beside it that makes it one in bits.

    >>> import numpy as np
    >>> losses = Series(np.arange(40), np.full(40, 3.0))
    >>> found = perplexity_of(Run("a", {"loss": losses, "val/loss": losses.at(slice(0, 2))}))
    >>> found.metric, found.step, round(found.last, 2), perplexity_of(Run("a", {"loss": losses})).records
    ('val/loss', 1, 20.09, 4)
    """
    if run.objective not in ("causal-lm", "masked-lm") or any(OTHER_AIMS.search(name) for name in run):
        return None
    if run.config.get("loss_reduction") == "sum" or _answers(run):
        return None
    refuted = {finding.metric.replace("ppl", "loss") for finding in findings if _refutes_scale(finding)}
    if run.evaluation_loss is not None:
        return None if run.evaluation_loss[0] in refuted else _of(run, *run.evaluation_loss, 1)
    loss = run.series.get("loss")
    if loss is None or "loss" in refuted or masked_zeros(loss.values).any():
        return None
    return _of(run, "loss", loss, min(max(LEAST_TAIL, len(loss) // TAIL), len(loss.finite)))


def _answers(run: Run) -> bool:
    """Tell whether a model answers among a few, as its measures say, or an accuracy beside a loss that begins where guessing among them does."""
    if "ppl" in run or any(name.endswith("/ppl") for name in run):
        return False
    if any(OF_ANSWERS.search(name) for name in run):
        return True
    scores = run.series.get("accuracy", run.series.get("val/accuracy"))
    losses = run.curve[1].finite.values if run.curve else ()
    if scores is None or not len(scores.finite) or not len(losses) or OF_TOKENS.search(scores.source_name):
        return False
    first = float(median(losses[:3]))
    if not SCALED <= first <= math.log(MOST_ANSWERS):
        return False
    answers = round(math.exp(first))
    guesses = abs(first / math.log(max(answers, 2)) - 1) <= NEAR and scores.finite.values[0] <= RIGHT / answers
    return first <= FEW_ANSWERS or guesses


def _refutes_scale(finding: Finding) -> bool:
    seen = finding.evidence
    if finding.rule == "perplexity-mismatch":
        return IN_BITS in finding.message
    if finding.rule != "wrong-loss-scale":
        return finding.rule == "accuracy-mismatch"
    return seen.get("end", math.inf) > ABOVE_UNIFORM * seen.get("uniform", 0.0)


def _of(run: Run, metric: str, losses: Series, records: int) -> Perplexity | None:
    finite = losses.finite.values
    # At first and mostly above what any guess costs: no mean over tokens
    if (
        not len(finite)
        or finite.min() <= 0
        or not losses.of_tokens
        or (finite[0] > LARGEST_UNIFORM and median(finite) > LARGEST_UNIFORM)
        or median(finite[:3]) < SCALED
    ):
        return None
    end = float(losses.values[-1])
    last = float(median(finite[-records:])) if math.isfinite(end) else end
    best = lowest_median(finite, records)
    return Perplexity(metric, int(losses.steps[-1]), _exp(last), _exp(best), records, run.objective == "masked-lm")


def _exp(loss: float) -> float:
    """Return exp(loss), infinity where that is too large to write down."""
    try:
        return math.exp(loss)
    except OverflowError:
        return math.inf
