from __future__ import annotations

from dataclasses import replace

import numpy as np

from lmdiag import advice
from lmdiag.figures import figure
from lmdiag.finding import Curve, Finding, Findings, NotChecked, Severity, rule, too_few
from lmdiag.run import Run, Series
from lmdiag.stats.course import MOST_POINTS, course
from lmdiag.stats.windows import rolling_median

GROWN = 100.0  # times its start
LEAST = 10.0  # of a policy, whose advantages are near 1; those of healthy runs stay below 2
FROM_THE_START = 1000.0
SQUARED = ("value_loss", "loss")  # errors of values, or sums that may hold them, grow with the square of the rewards
NAMED = {"loss": "loss", "policy_loss": "loss of the policy", "value_loss": "loss of the value function"}


@rule(family="reinforcement", needs=("measured",), severity=Severity.WARNING, min_points=5)
def check(run: Run, _: Curve, *, grown: float = GROWN, least: float = LEAST) -> Findings:
    """Loss of the policy or of the value function grows beyond what rewards explain.

    ## What it looks for
    A policy loss, a value loss or their sum whose size explodes. Its sign and its slow course mean nothing, and are not judged.

    ## How it decides
    The rolling median of its size (a tenth of the records, three at least) reaches `grown` times that of the first tenth, and `least` times the largest reward known (1 where
    all are smaller); for the loss of the value function, and for a sum that may hold it, the square of that reward counts, for such are its errors. An error where the reward ends
    lower than it began. One of 1,000 times as much in the first tenth already is information: it is a sum, or its advantages are not normalised.

    ## Why it matters
    Clipped ratios and normalised advantages keep the loss of a policy near 0, and no sound value misses by more than the rewards are apart: the weights are on their way out.

    ## False alarms it avoids
    Losses that rise from 0, or below it, within their usual size; value losses that grow because the rewards do.

    ## What to try
    A lower rate, a clip on the gradient and on the values, rewards and advantages that are normalised.

    ## References
    - Schulman et al. 2017, Proximal policy optimization algorithms, arXiv:1707.06347.
    - Huang et al. 2022, The 37 implementation details of PPO: clipped value loss, normalised advantages.
    """
    known = {name: run[name].finite for name in NAMED if name in run and len(run[name].finite)}
    if not known:
        yield NotChecked("the log has no loss of the policy or of the value function")
        return
    if max(map(len, known.values())) < 10:
        yield too_few(max(map(len, known.values())), "finite losses", 10)
        return
    for name, series in known.items():
        if len(series) >= 10 and (found := _found(run, name, series, grown, least)):
            yield found
            return


def _found(run: Run, name: str, series: Series, grown: float, least: float) -> Finding | None:
    scale = _largest_reward(run) ** (2 if name in SQUARED else 1)
    size = replace(series, values=np.abs(series.values)).thinned(MOST_POINTS)
    if size.values.max() < least * scale:
        return None
    moved = course(size.values)
    if moved.start >= FROM_THE_START * scale:
        return Finding(
            f"The {NAMED[name]} has a size of {figure(moved.start, 3)} (median of the first tenth of the records), beside rewards of {figure(_largest_reward(run), 3)} at most: it is a "
            "sum, or its advantages are not normalised.",
            int(series.steps[0]),
            int(series.steps[-1]),
            name,
            {"start": moved.start},
            ("Average the loss over the tokens, and normalise the advantages of a batch.",),
            Severity.INFO,
        )
    bar = max(grown * moved.start, least * scale)
    if moved.high < bar:
        return None
    width = min(max(3, len(size) // 10) | 1, len(size))
    step = int(size.steps[int(np.argmax(rolling_median(size.values, width) >= bar)) + width // 2])
    rewards = run["reward"].finite.values if "reward" in run else np.empty(0)
    falls = len(rewards) >= 5 and course(rewards).falls
    return Finding(
        f"The {NAMED[name]} grew from a size of {figure(moved.start, 3)} to one of {figure(moved.high, 3)}, and was above {figure(bar, 3)} by {run.place(step)}: no reward explains that.",
        step,
        int(series.steps[-1]),
        name,
        {"start": moved.start, "highest": moved.high, "end": moved.end},
        (
            advice.lower_lr(run, step),
            "Clip the gradient norm, and the change of the values in one update.",
            "Normalise rewards and advantages: their scale is that of the loss.",
        ),
        Severity.ERROR if falls else Severity.WARNING,
    )


def _largest_reward(run: Run) -> float:
    """Return the size of the largest reward known, 1 at least."""
    seen = [np.abs(run[name].finite.values) for name in ("reward", "reward_max", "reward_min") if name in run]
    return max([1.0, *(float(values.max()) for values in seen if len(values))])
