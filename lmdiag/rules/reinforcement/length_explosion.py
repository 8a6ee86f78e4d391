from __future__ import annotations

import numpy as np

from lmdiag.figures import figure, percent
from lmdiag.finding import Finding, Findings, Severity, rule, too_few
from lmdiag.run import Run, Series
from lmdiag.stats.course import SIGMAS, course, first_lasting
from lmdiag.stats.units import shares

GROWN = 2.5  # times the length at the start
LEAST_TOKENS = 20
CUT = 0.3


@rule(family="reinforcement", needs=("response_length",), severity=Severity.WARNING, min_points=10)
def check(run: Run, lengths: Series, *, grown: float = GROWN) -> Findings:
    """Responses become very long.

    ## What it looks for
    A policy that is paid for length instead of for answers.

    ## How it decides
    The median length of the last fifth of the records is `grown` times that of the first tenth, by 20 tokens and three standard errors or more. It
    is information only where the reward rises and fewer than 30% of the responses are cut off: models that learn to reason write longer.

    ## Why it matters
    Length is what reward models and unnormalised losses pay for by accident, and what most compute is spent on.

    ## False alarms it avoids
    Growth within a factor of 2.5, and reasoning that grows with the reward. Responses that shrink: `length-collapse`.

    ## What to try
    A penalty for length beyond a budget, a loss that is averaged over all tokens of a batch, a mask on responses that were cut off.

    ## References
    - Singhal et al. 2023, A long way to go: investigating length correlations in RLHF, arXiv:2310.03716.
    - Liu et al. 2025, Understanding R1-Zero-like training (Dr. GRPO), arXiv:2503.20783.
    """
    values = lengths.values
    if len(values) < 10:
        yield too_few(len(values), "finite lengths", 10)
        return
    moved = course(values)
    if moved.end < grown * moved.start or moved.gain < max(LEAST_TOKENS, SIGMAS * moved.error):
        return
    half = (moved.start + moved.end) / 2
    step = int(lengths.steps[first_lasting(values >= half)])
    rewards = run["reward"].finite.values if "reward" in run else np.empty(0)
    rises = len(rewards) >= 5 and course(rewards).rises
    cut = shares(run["truncated_share"].finite.values) if "truncated_share" in run else None
    cut_off = float(np.median(cut[-max(3, len(cut) // 5) :])) if cut is not None and len(cut) else 0.0
    paid = "while the reward rises" if rises else "while the reward does not rise"
    yield Finding(
        f"The responses grew from {figure(moved.start, 3)} to {figure(moved.end, 3)} tokens, half of the way by {run.place(step)}"
        f"{f', {paid}' if len(rewards) else ''}{f'; {percent(cut_off)} are cut off at the end' if cut_off else ''}.",
        step,
        int(lengths.steps[-1]),
        "response_length",
        {
            "start": moved.start,
            "end": moved.end,
            "factor": moved.end / moved.start if moved.start else 0.0,
            "truncated": cut_off,
        },
        (
            f"Take a penalty for length beyond {figure(2 * moved.start, 2)} tokens, twice the length at the start, into the reward.",
            "Average the loss over all tokens of the batch instead of over each response (loss type dapo or dr_grpo).",
            f"Read a long response of {run.place(run.last_step)}: repetition is paid for by nobody.",
        ),
        Severity.INFO if rises and cut_off < CUT else Severity.WARNING,
    )
