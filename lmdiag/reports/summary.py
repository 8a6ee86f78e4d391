"""The few numbers that sum up a run."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lmdiag.run import Run


@dataclass(frozen=True)
class Summary:
    """The few numbers that sum up a run; None where the log does not have them.

    `metric` is the loss they are about, in nats per token; perplexities are exp(loss), and None for a loss that is
    not a mean log-likelihood of tokens.
    """

    metric: str | None = None
    points: int = 0
    loss_first: float | None = None
    loss_last: float | None = None
    loss_min: float | None = None
    loss_min_step: int | None = None
    perplexity_last: float | None = None
    perplexity_min: float | None = None


def summarize(run: Run) -> Summary:
    """Return the first, last and lowest loss of a run, with their perplexities.

    >>> import numpy as np
    >>> from lmdiag.run import Series
    >>> summary = summarize(Run("a", {"loss": Series(np.array([1, 2, 3]), np.array([2.0, 1.0, np.inf]))}))
    >>> summary.loss_last, summary.loss_min, summary.loss_min_step, round(summary.perplexity_min, 3)
    (inf, 1.0, 2, 2.718)
    """
    curve = run.curve
    if curve is None or not len(curve[1]):
        return Summary()
    metric, series = curve
    finite = series.finite
    lowest = int(finite.values.argmin()) if len(finite) else None
    loss_min = None if lowest is None else float(finite.values[lowest])
    last = float(series.values[-1])
    return Summary(
        metric=metric,
        points=series.logged or len(series),
        loss_first=float(series.values[0]),
        loss_last=last,
        loss_min=loss_min,
        loss_min_step=None if lowest is None else int(finite.steps[lowest]),
        perplexity_last=perplexity(last, run.objective),
        perplexity_min=None if loss_min is None else perplexity(loss_min, run.objective),
    )


def perplexity(loss: float, objective: str = "causal-lm") -> float | None:
    """Return exp(loss), infinity where that is too large to write down, and None for what is no language model.

    >>> round(perplexity(3.0), 2), perplexity(1000.0), perplexity(0.3, "classification")
    (20.09, inf, None)
    """
    if objective not in ("causal-lm", "masked-lm"):
        return None
    try:
        return math.exp(loss)
    except OverflowError:
        return math.inf
