from __future__ import annotations

import numpy as np

from lmdiag.figures import figure, percent
from lmdiag.finding import Finding, Findings, Severity, rule, too_few
from lmdiag.run import Run, Series
from lmdiag.stats.course import course, first_lasting
from lmdiag.stats.windows import median

MOST = 0.5


@rule(family="reinforcement", needs=("truncated_share",), severity=Severity.WARNING, min_points=5)
def check(run: Run, cut: Series, *, most: float = MOST) -> Findings:
    """Most responses are cut off at the longest length allowed.

    ## What it looks for
    A limit of the length that most responses reach, so that they have no end and, mostly, no answer.

    ## How it decides
    The median share of responses that hit the limit is `most` or more, over the last third of the records or over all of them.

    ## Why it matters
    A response that is cut off cannot be rewarded for its answer: the policy is punished for thinking, or paid for what stands in the beginning.

    ## False alarms it avoids
    A minority of cut responses, and a start at the limit that training leaves.

    ## What to try
    A larger limit, prompts that need shorter answers, a reward for ending, a mask on responses that were cut off.

    ## References
    - Yu et al. 2025, DAPO, arXiv:2503.14476, section 3.4: overlong reward shaping.
    """
    if len(cut) < 5:
        yield too_few(len(cut), "finite shares of cut responses", 5)
        return
    values = cut.values
    late = float(median(values[-max(3, len(values) // 3) :]))
    if late < most:
        return
    moved = course(values)
    step = int(cut.steps[first_lasting(values >= most * 0.8)])
    limit = run["response_length_max"].finite.values if "response_length_max" in run else np.empty(0)
    cap = float(limit.max()) if len(limit) else 0.0
    at_limit = f" of {figure(cap)} tokens" if cap else ""
    more = (
        f"Raise the limit{f' from {figure(cap)} to {figure(2 * cap)} tokens' if cap else ''} (max_completion_length)."
    )
    yield Finding(
        f"{percent(late).capitalize()} of the responses are cut off at the limit{at_limit}, from {run.place(step)} on.",
        step,
        int(cut.steps[-1]),
        "truncated_share",
        {"start": moved.start, "end": late, **({"limit": cap} if cap else {})},
        (
            more,
            "Check that responses can end: the end-of-sequence token of the chat template is the one that stops the sampler.",
            "Leave responses that were cut off out of the loss (mask_truncated_completions), or pay for ending in time.",
        ),
    )
