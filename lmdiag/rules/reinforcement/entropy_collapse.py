from __future__ import annotations

import numpy as np

from lmdiag.beginning import holds_start
from lmdiag.figures import figure, percent
from lmdiag.finding import BEGINS_LATER, Finding, Findings, NotChecked, Severity, rule, too_few
from lmdiag.run import Run, Series
from lmdiag.stats.course import course, first_lasting
from lmdiag.stats.units import of_density

FALLEN_TO = 0.1  # of its start
GONE = 0.02  # nats
LEAST = 0.1  # nats at the start: below it there is nothing to lose
SOLVED = 0.9  # of the highest level of the reward
EARLY = 0.5  # share of the run


@rule(family="reinforcement", needs=("entropy",), severity=Severity.WARNING, min_points=10)
def check(run: Run, entropies: Series, *, fallen_to: float = FALLEN_TO) -> Findings:
    """Entropy of the policy collapses: it always writes the same.

    ## What it looks for
    A policy that became deterministic, and so does not explore any more.

    ## How it decides
    The median entropy of the last fifth of the records is `fallen_to` of that of the first tenth or less, or below 0.02 nats per token. Above 0.02 nats it is information only
    where the task was being solved: the reward rose clearly and is at its highest level at the end.

    ## Why it matters
    Without entropy all responses of a prompt are the same, groups have equal rewards and the gradient vanishes.

    ## False alarms it avoids
    The decline of a policy that solves its task: entropy falls to a fifth in healthy runs of mathematics. An entropy below 0.1 nats at the start.

    ## What to try
    A higher upper clip range, an entropy bonus, a lower rate, or a KL coefficient. Resume from before the collapse.

    ## References
    - Cui et al. 2025, The entropy mechanism of reinforcement learning for reasoning language models, arXiv:2505.22617.
    - Yu et al. 2025, DAPO, arXiv:2503.14476, section 3.1.
    """
    values = entropies.values
    if len(values) < 10:
        yield too_few(len(values), "finite entropies", 10)
        return
    if of_density(values):
        yield NotChecked("the entropy is negative: it is that of a density, or its loss")
        return
    if not holds_start(run, entropies):
        yield BEGINS_LATER
        return
    moved = course(values)
    if moved.start < LEAST or moved.end > max(fallen_to * moved.start, GONE):
        return
    bar = max(2 * fallen_to * moved.start, GONE)
    step = int(entropies.steps[first_lasting(values <= bar)])
    solved = _solves(run, step)
    reward = _reward(run)
    yield Finding(
        f"The entropy fell from {figure(moved.start, 3)} to {figure(moved.end, 3)} nats per token, mostly {figure(bar, 3)} or less from {run.place(step)} on"
        f"{reward}: the policy hardly varies its responses any more.",
        step,
        int(entropies.steps[-1]),
        "entropy",
        {"start": moved.start, "end": moved.end, "share": moved.end / moved.start},
        (
            "Raise the upper clip range (clip-higher, 0.28), or add an entropy bonus of 0.001 to 0.01.",
            f"Stop or resume before {run.place(step)}: {percent(1 - moved.end / moved.start)} of the entropy is gone at the end.",
            "A lower learning rate, or a larger KL coefficient, slows the collapse.",
        ),
        Severity.INFO if solved and moved.end > GONE else Severity.WARNING,
    )


def _solves(run: Run, step: int) -> bool:
    """Tell whether the reward rose clearly and is at its best at the end, and that not all of it came after the collapse."""
    if "reward" not in run or len(run["reward"].finite) < 10:
        return False
    rewards = run["reward"].finite
    moved = course(rewards.values)
    if not moved.rises or moved.gain <= 0:
        return False
    share = (step - run.first_step) / max(run.last_step - run.first_step, 1)
    best = moved.end >= moved.start + SOLVED * (moved.high - moved.start)
    return best and (share >= EARLY or _doubles(moved.start, moved.end))


def _doubles(start: float, end: float) -> bool:
    return end >= 2 * start > 0


def _reward(run: Run) -> str:
    if "reward" not in run or len(run["reward"].finite) < 5:
        return ""
    moved = course(run["reward"].finite.values)
    return (
        f", while the reward went from {figure(moved.start, 3)} to {figure(moved.end, 3)}"
        if np.isfinite(moved.end)
        else ""
    )
