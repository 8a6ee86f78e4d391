from __future__ import annotations

from dataclasses import replace

import numpy as np

from lmdiag.figures import figure, percent
from lmdiag.finding import Curve, Finding, Findings, NotChecked, Severity, rule, too_few
from lmdiag.run import Run, Series
from lmdiag.stats.course import course, first_lasting
from lmdiag.stats.units import shares
from lmdiag.stats.windows import median
from lmdiag.task_measures import left_behind

MOST = 0.5
NEARLY = 0.8  # of that share: from there on it is said to be so
REPEATED = 5  # records of exactly one mean length: that of a limit, where as many other lengths lie below


@rule(family="reinforcement", needs=("measured",), severity=Severity.WARNING, min_points=5)
def check(run: Run, _: Curve, *, most: float = MOST) -> Findings:
    """Most responses are cut off at the longest length allowed.

    ## What it looks for
    A limit of the length that most responses reach, so that they have no end and, mostly, no answer.

    ## How it decides
    The median share of responses that hit the limit is `most` or more, over the last third of the records. Where the log has the mean length
    alone: it is exactly its highest value, to which it comes back five times or more, in that share of the records, and lies at five shorter lengths or more elsewhere; then all of their responses are cut off.

    ## Why it matters
    A response that is cut off cannot be rewarded for its answer: the policy is punished for thinking, or paid for what stands in the beginning.

    ## False alarms it avoids
    A minority of cut responses, answers of one fixed length, and a start at the limit that training leaves.

    ## What to try
    A larger limit, unless the reward pays for length (it rises in the training and in no evaluation); prompts that need shorter answers, a reward for ending, a mask on responses that were cut off.

    ## References
    - Yu et al. 2025, DAPO, arXiv:2503.14476, section 3.4: overlong reward shaping.
    """
    cut = _shares(run) if "truncated_share" in run else _at_cap(run)
    if cut is None:
        yield NotChecked("the log does not say how many responses are cut off")
        return
    if len(cut) < 5:
        yield too_few(len(cut), "finite shares of cut responses", 5)
        return
    values = cut.values
    last = values[-max(3, len(values) // 3) :]
    late = float(median(last) if "truncated_share" in run else last.mean())
    if late < most:
        return
    moved = course(values)
    bar = NEARLY * most
    step = int(cut.steps[min(first_lasting(values >= bar), len(values) - len(last))])
    longest = "response_length_max" if "truncated_share" in run else "response_length"
    limit = run[longest].finite.values if longest in run else np.empty(0)
    cap = float(limit.max()) if len(limit) else 0.0
    at_limit = f" of {figure(cap)} tokens" if cap else ""
    hacked = left_behind(run) is not None
    more = (
        "Leave the limit as it is: pay for right answers only, or subtract a price for length."
        if hacked
        else f"Raise the limit{f' from {figure(cap)} to {figure(2 * cap)} tokens' if cap else ''} (max_completion_length)."
    )
    beside = ", while the reward rises in training alone: it pays for length" if hacked else ""
    if "truncated_share" in run:
        said = (
            f"{percent(late).capitalize()} of the responses are cut off at the limit{at_limit} (median of the last third of the records), and "
            f"{percent(bar)} or more in most records"
        )
    else:
        said = f"All responses are cut off at the limit{at_limit} in {percent(late)} of the last third of the records, and in most records"
    yield Finding(
        f"{said} from {run.place(step)} on{beside}.",
        step,
        int(cut.steps[-1]),
        "truncated_share" if "truncated_share" in run else "response_length",
        {"start": moved.start, "end": late, **({"limit": cap} if cap else {})},
        (
            more,
            "Check that responses can end: the end-of-sequence token of the chat template is the one that stops the sampler.",
            "Leave responses that were cut off out of the loss (mask_truncated_completions), or pay for ending in time.",
        ),
    )


def _shares(run: Run) -> Series | None:
    """Return the shares of cut responses, None where their unit is not clear."""
    cut = run["truncated_share"].finite
    values = shares(cut.values)
    return None if values is None else replace(cut, values=values)


def _at_cap(run: Run) -> Series | None:
    """Return 1 for the records whose mean length is the limit, else 0; None where the lengths show no limit."""
    lengths = run["response_length"].finite if "response_length" in run else None
    if lengths is None or not len(lengths):
        return None
    at = lengths.values >= lengths.values.max() * (1 - 1e-9)
    limited = at.sum() >= REPEATED <= len(np.unique(lengths.values[~at]))
    return replace(lengths, values=at.astype(float)) if limited else None
