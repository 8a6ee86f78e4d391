from __future__ import annotations

import numpy as np

from lmdiag import advice
from lmdiag.figures import figure
from lmdiag.finding import Finding, Findings, NotChecked, Severity, rule, too_few
from lmdiag.run import Run, Series
from lmdiag.stats.course import Course, course, first_lasting

FALLEN, COLLAPSED = 0.5, 1.5  # of the log-probability at the start
LEAST, LEAST_OF_TOKEN = 20.0, 0.7  # nats: of an answer, of a token
PER_TOKEN = 10.0  # nats: log-probabilities that are smaller are means over tokens
SILENT = 0.02  # nats
GONE = 0.95  # of the later records
LEAST_BETA, FEWEST_REWARDS = 0.001, 5  # the reward of an answer is beta times what the policy lost of it


@rule(family="preference", needs=("chosen_logp",), severity=Severity.WARNING, min_points=8)
def check(run: Run, chosen: Series, *, fallen: float = FALLEN, collapsed: float = COLLAPSED) -> Findings:
    """Preferred answers lose their probability: the policy moves away from both answers.

    ## What it looks for
    Margins that grow because the rejected answer becomes impossible, while the preferred one becomes unlikely, too.

    ## How it decides
    The log-probability of the preferred answers ends lower than it began by `fallen` of its size, by 20 nats (0.7 where it is a mean over tokens) and by three
    standard errors. It is an error from `collapsed` times its size on, or where the entropy is gone.
    The reward of these answers, which is beta times the nats that they lost, must have fallen by a thousandth of them where it is logged.

    ## Why it matters
    What the loss rewards is the difference alone. A policy that gives both answers less probability gives it to others, which nobody preferred: repetition,
    other languages, nothing.

    ## False alarms it avoids
    The fall by a tenth to a third that DPO shows in most sound runs; noise of answers of different lengths; a first record of few, short answers.

    ## What to try
    A lower rate, a larger beta, a term of likelihood on the preferred answers (rpo_alpha), fewer epochs.

    ## References
    - Razin et al. 2024, Unintentional unalignment: likelihood displacement in direct preference optimization, arXiv:2410.08847.
    - Pal et al. 2024, Smaug (DPO-Positive), arXiv:2402.13228.
    """
    values = chosen.values
    if len(values) < 8:
        yield too_few(len(values), "finite log-probabilities", 8)
        return
    moved = course(values)
    if moved.start >= 0:
        yield NotChecked("the log-probabilities are not below 0")
        return
    size = abs(_first(values, moved))
    fall = -(moved.end + size)
    least = LEAST_OF_TOKEN if size < PER_TOKEN else LEAST
    if fall < max(fallen * size, least, 3 * moved.error):
        return
    if _kept(run, fall):
        return
    bar = -(1 + fallen) * size
    step = int(chosen.steps[first_lasting(values <= bar)])
    gone = _silent(run)
    rejected = _rejected(run)
    together = f"; that of the rejected ones went {rejected}" if rejected else ""
    said = "; the entropy is gone" if gone else ""
    yield Finding(
        f"The log-probability of the preferred answers fell from {figure(-size, 3)} to {figure(moved.end, 3)}, mostly {figure(bar, 3)} or less from "
        f"{run.place(step)} on{together}{said}.",
        step,
        int(chosen.steps[-1]),
        "chosen_logp",
        {"start": -size, "end": moved.end, "factor": -moved.end / size},
        (
            advice.lower_peak(run, run.last_step),
            "Raise beta: a larger one holds the policy nearer to the reference.",
            "Add the likelihood of the preferred answers to the loss (rpo_alpha 1, or an SFT term of 0.1 to 1).",
            f"Keep a checkpoint from before {run.place(step)}, and read what the policy writes after it.",
        ),
        Severity.ERROR if fall >= collapsed * size or gone else Severity.WARNING,
    )


def _kept(run: Run, fall: float) -> bool:
    """Tell whether the reward of the preferred answers says that the policy lost next to nothing of them: others were asked for."""
    rewards = run["chosen_reward"].finite.values if "chosen_reward" in run else np.empty(0)
    return len(rewards) >= FEWEST_REWARDS and -course(rewards).end < LEAST_BETA * fall


def _first(values: np.ndarray, moved: Course) -> float:
    """Return the level at the start: that of the first record where the policy is gone before the first tenth ends.

    One record of noise does not make it gone: no later record, but one in twenty, comes back as near.
    """
    first = float(values[0])
    if not moved.start < first < 0:
        return moved.start
    later = values[1 + len(values) // 10 :] <= (1 + FALLEN) * first
    return first if moved.start < 3 * first or later.mean() >= GONE else moved.start


def _silent(run: Run) -> bool:
    entropies = run["entropy"].finite.values if "entropy" in run else np.empty(0)
    return len(entropies) >= 5 and float(entropies[0]) > 0.2 and course(entropies).end < SILENT


def _rejected(run: Run) -> str:
    values = run["rejected_logp"].finite.values if "rejected_logp" in run else np.empty(0)
    if len(values) < 5:
        return ""
    return f"from {figure(float(values[0]), 3)} to {figure(course(values).end, 3)}"
