"""The few numbers that sum up a run."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from lmdiag.reports.phrases import number
from lmdiag.run import Run
from lmdiag.task_measures import progress

WORDS_OF = {"reward_margin": "margin", "reward_accuracy": "accuracy"}


class Summary(Struct, frozen=True):
    """The few numbers that sum up a run; None where the log does not have them.

    `metric` is the loss they are about, in nats per token where it is that of a language model; of a policy without a loss it is the
    reward.
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
        measured = run.measured
        return Summary(metric=measured[0], points=measured[1].logged or len(measured[1])) if measured else Summary()
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


def last_value(run: Run) -> str:
    """Write the last value of what shows the progress of a run: a loss alone, anything else with its name.

    >>> import numpy as np
    >>> from lmdiag.run import Series
    >>> made = {"loss": Series(np.arange(3), np.zeros(3)), "reward": Series(np.arange(3), np.array([0.1, 0.5, 0.4]))}
    >>> last_value(Run("a", made)), last_value(Run("a", made, objective="reinforcement"))
    ('0', 'reward 0.4')
    """
    shown = progress(run)
    if shown is None or not len(shown[1]):
        return number(None)
    value = number(float(shown[1].values[-1]))
    return (
        value if run.curve is not None and shown[0] == run.curve[0] else f"{WORDS_OF.get(shown[0], shown[0])} {value}"
    )


def last_header(runs: Iterable[Run]) -> str:
    """Return what a column of `last_value` is called: of losses, or of anything."""
    return "last loss" if all(last_value(run).count(" ") == 0 for run in runs) else "last value"


def key_numbers(run: Run, summary: Summary) -> list[tuple[str, str, float | None]]:
    """Return the numbers of the headline, each with its name and, where it is one of many, the place of it: of the reward or of the loss.

    >>> import numpy as np
    >>> from lmdiag.run import Series
    >>> run = Run("a", {"reward": Series(np.array([1, 2, 3]), np.array([0.1, 0.9, 0.5]))}, objective="reinforcement")
    >>> key_numbers(run, summarize(run))
    [('first reward', '', 0.1), ('last reward', '', 0.5), ('highest reward', 'step 2', 0.9)]
    """
    if run.kind == "reinforcement" and "reward" in run and len(run["reward"].finite):
        rewards = run["reward"].finite
        highest = int(rewards.values.argmax())
        first, last = float(run["reward"].values[0]), float(run["reward"].values[-1])
        place = run.place(int(rewards.steps[highest]))
        return [
            ("first reward", "", first),
            ("last reward", "", last),
            ("highest reward", place, float(rewards.values[highest])),
        ]
    if not summary.metric or run.curve is None:
        return []
    place = run.place(summary.loss_min_step or 0)
    return [
        ("first loss", "", summary.loss_first),
        ("last loss", "", summary.loss_last),
        ("lowest loss", place, summary.loss_min),
    ]
