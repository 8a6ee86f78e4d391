from __future__ import annotations

import numpy as np

from lmdiag import advice
from lmdiag.figures import figure
from lmdiag.finding import Finding, Findings, NotChecked, Severity, rule, too_few
from lmdiag.run import Run, Series
from lmdiag.stats.course import MOST_POINTS, course
from lmdiag.stats.units import of_density
from lmdiag.stats.windows import rolling_median

GROWN, RISE = 3.0, 1.0  # times its start, nats per token


@rule(family="reinforcement", needs=("entropy",), severity=Severity.WARNING, min_points=10)
def check(run: Run, entropies: Series, *, grown: float = GROWN, rise: float = RISE) -> Findings:
    """Entropy of the policy explodes: it writes at random.

    ## What it looks for
    A policy whose next token becomes a guess.

    ## How it decides
    The rolling median of the entropy (a tenth of the records, three at least) reaches `grown` times that of the first tenth, and `rise` nats per token more. An error
    where the reward ends lower than it began.

    ## Why it matters
    One nat more per token is as if three words were equally likely where one was: text falls apart into fragments, and rewards with it.

    ## False alarms it avoids
    An entropy that rises within a factor of three, as with an entropy bonus or a higher temperature.

    ## What to try
    Remove or lower the entropy bonus; a lower rate; a KL coefficient. Check that the sampler and the trainer agree on the probabilities.

    ## References
    - Cui et al. 2025, The entropy mechanism of reinforcement learning for reasoning language models, arXiv:2505.22617.
    """
    values = entropies.values
    if len(values) < 10:
        yield too_few(len(values), "finite entropies", 10)
        return
    if of_density(values):
        yield NotChecked("the entropy is negative: it is that of a density, or its loss")
        return
    moved, short = course(values), entropies.thinned(MOST_POINTS)
    limit = max(grown * moved.start, moved.start + rise)
    width = max(3, len(short) // 10) | 1
    levels = rolling_median(short.values, width)
    if levels.max() < limit:
        return
    step = int(short.steps[int(np.argmax(levels >= limit)) + width // 2])
    rewards = run["reward"].finite.values if "reward" in run else np.empty(0)
    lost = len(rewards) >= 5 and course(rewards).falls
    yield Finding(
        f"The entropy rose from {figure(moved.start, 3)} to a level of {figure(float(levels.max()), 3)} nats per token, and was above {figure(limit, 3)} by "
        f"{run.place(step)}: the policy writes more and more at random.",
        step,
        int(entropies.steps[-1]),
        "entropy",
        {"start": moved.start, "highest": float(levels.max()), "end": moved.end},
        (
            "Remove the entropy bonus, if there is one.",
            advice.lower_lr(run, step),
            f"Read what the policy writes at {run.place(step)}; hold it near the reference with a KL coefficient.",
        ),
        Severity.ERROR if lost else Severity.WARNING,
    )
