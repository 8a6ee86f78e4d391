from __future__ import annotations

import numpy as np

from lmdiag.figures import figure
from lmdiag.finding import Finding, Findings, Severity, rule, too_few
from lmdiag.run import Run, Series
from lmdiag.stats.course import course

EXPLAINS = 0.0


@rule(family="reinforcement", needs=("explained_variance",), severity=Severity.WARNING, min_points=12)
def check(run: Run, explained: Series, *, least: float = EXPLAINS) -> Findings:
    """Value function explains nothing of the returns.

    ## What it looks for
    A critic whose values are no better than their mean, so that the advantages are noise.

    ## How it decides
    The median of the explained variance over the last fifth of the records is `least` or lower, and it does not rise.

    ## Why it matters
    Advantages are returns less values: a critic that explains nothing adds its own error to them.

    ## False alarms it avoids
    Negative values at the start, before the critic has learned; fewer than a dozen records.

    ## What to try
    Train the critic alone for some steps first; start it from the reward model; a higher rate for it; or a method without a critic.

    ## References
    - Huang et al. 2022, The 37 implementation details of PPO: explained variance.
    """
    if len(explained) < 12:
        yield too_few(len(explained), "finite values of the explained variance", 12)
        return
    moved = course(explained.values)
    if moved.end > least or moved.rises:
        return
    loss = run.value_at("value_loss", run.last_step)
    yield Finding(
        f"The value function explains {figure(moved.end, 2)} of the variance of the returns at the end ({figure(moved.start, 2)} at "
        "the start): the advantages are noise.",
        int(explained.steps[0]),
        int(explained.steps[-1]),
        "explained_variance",
        {
            "start": moved.start,
            "end": moved.end,
            **({"value_loss": loss} if loss is not None and np.isfinite(loss) else {}),
        },
        (
            "Train the value function alone for the first steps, or start it from the reward model.",
            "Give it a rate of its own, two to ten times that of the policy.",
            "A method without one (GRPO, RLOO) needs only several responses for each prompt.",
        ),
    )
