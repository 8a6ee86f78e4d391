"""The few numbers that sum up a run."""

from __future__ import annotations

from dataclasses import dataclass

from lmdiag.run import Run


@dataclass(frozen=True)
class Summary:
    """The few numbers that sum up a run; None where the log does not have them.

    `metric` is the loss they are about, in nats per token.
    """

    metric: str | None = None
    points: int = 0
    loss_first: float | None = None
    loss_last: float | None = None
    loss_min: float | None = None
    loss_min_step: int | None = None


def summarize(run: Run) -> Summary:
    """Return the first, last and lowest loss of a run.

    >>> import numpy as np
    >>> from lmdiag.run import Series
    >>> summary = summarize(Run("a", {"loss": Series(np.array([1, 2, 3]), np.array([2.0, 1.0, np.inf]))}))
    >>> summary.loss_last, summary.loss_min, summary.loss_min_step
    (inf, 1.0, 2)
    """
    curve = run.curve
    if curve is None or not len(curve[1]):
        return Summary()
    metric, series = curve
    finite = series.finite
    lowest = int(finite.values.argmin()) if len(finite) else None
    loss_min = None if lowest is None else float(finite.values[lowest])
    return Summary(
        metric=metric,
        points=series.logged or len(series),
        loss_first=float(series.values[0]),
        loss_last=float(series.values[-1]),
        loss_min=loss_min,
        loss_min_step=None if lowest is None else int(finite.steps[lowest]),
    )
