from __future__ import annotations

import numpy as np

from lmdiag.figures import figure, percent
from lmdiag.finding import Finding, Findings, NotChecked, Severity, rule, too_few
from lmdiag.run import Run, Series
from lmdiag.stats.course import Course, course
from lmdiag.stats.units import shares
from lmdiag.stats.windows import median
from lmdiag.task_measures import left_behind

MOST = 0.7
EQUAL = 1e-6  # spread of rewards that are equal but for rounding
NEAR_BEST = 0.9  # of the bound


@rule(family="reinforcement", needs=("reward",), severity=Severity.WARNING, min_points=8)
def check(run: Run, rewards: Series, *, most: float = MOST) -> Findings:
    """Most groups of responses have equal rewards, which give no gradient.

    ## What it looks for
    Prompts that are too hard, too easy, or rewarded without difference, so that the advantages of a group are all 0.

    ## How it decides
    The median share of groups without spread, over the last two thirds of the records, is `most` or more. Where the log has no such share: the standard deviation of
    the rewards is 0 in that share of the records. It is information only where the reward, within 0 and 1, ends at 0.9 or more, or rose to nine tenths of
    the highest reward of a response, unless that of the training rises and that of no evaluation: the task is solved. It is an error where no group ever had a spread and the reward is constant.

    ## Why it matters
    Groups without spread cost as much to sample as others and teach nothing: the batch that trains is that much smaller.

    ## False alarms it avoids
    Solved tasks; equal groups in the first third, before the policy finds the first rewards; rewards that are missing (`missing-reward`).

    ## What to try
    Filter prompts by their success rate, sample more responses for each, grade the reward, raise the sampling temperature.

    ## References
    - Yu et al. 2025, DAPO, arXiv:2503.14476, section 3.2: dynamic sampling.
    """
    known = run.series.get("zero_std_share", run.series.get("reward_std"))
    of_groups = "zero_std_share" in run
    if known is None:
        yield NotChecked("the log says neither the spread of the rewards nor how many groups have none")
        return
    spread = known.finite.at(np.isin(known.finite.steps, rewards.steps))
    if len(spread) < 8:
        yield too_few(len(spread), "finite values of the spread of rewards", 8)
        return
    equal = shares(spread.values) if of_groups else (spread.values <= EQUAL).astype(float)
    if equal is None:
        yield NotChecked("the shares of equal groups are neither within 0 and 1 nor percent")
        return
    late = equal[len(equal) // 3 :]
    share = float(median(late) if of_groups else late.mean())
    if share < most:
        return
    moved = course(rewards.values)
    never = bool((equal >= 1 - EQUAL).all()) and float(np.ptp(rewards.values)) == 0
    hacked = left_behind(run) is not None
    solved = not never and not hacked and _solved(run, rewards.values, moved)
    step = int(spread.steps[_onset(equal >= most)])
    if of_groups:
        said = f"{percent(share).capitalize()} of the groups have equal rewards (median of the last two thirds of the records), and {percent(most)} or more in most"
    else:
        said = f"{percent(share).capitalize()} of the last two thirds of the records have rewards without any spread, and so have most"
    yield Finding(
        f"{said} records from {run.place(step)} on, with a reward of {figure(moved.end, 3)} at the end: they give no "
        f"gradient{_because(run, never, hacked, solved)}.",
        step,
        int(spread.steps[-1]),
        "zero_std_share" if of_groups else "reward_std",
        {"share": share, "reward": moved.end},
        (
            "Run the reward function on a few responses by hand: it never tells two of them apart."
            if never
            else "Compare the reward with that of the evaluation on the same responses: it must not pay for what does not help there."
            if hacked
            else "Take harder prompts: these are solved."
            if solved
            else "Sample other prompts: those that no response, or every response, solves give no gradient.",
            "Sample more responses for each prompt, at temperature 1.",
            "Give a graded reward: parts of an answer, not all or nothing.",
        ),
        Severity.ERROR if never else Severity.INFO if solved else Severity.WARNING,
    )


def _onset(reached: np.ndarray) -> int:
    """Return the index from which the records that hold outnumber the others by most."""
    return int(np.argmax(np.cumsum(np.where(reached, 1, -1)[::-1])[::-1]))


def _solved(run: Run, values: np.ndarray, moved: Course) -> bool:
    """Tell whether the reward ends near its bound: that of the best responses where the log has it, else 1."""
    highest = run["reward_max"].finite.values if "reward_max" in run else np.empty(0)
    if values.min() >= 0 and values.max() <= 1 and moved.end >= NEAR_BEST:
        return True
    return len(highest) > 0 and moved.rises and moved.end >= NEAR_BEST * float(highest.max()) > 0


def _because(run: Run, never: bool, hacked: bool, solved: bool) -> str:
    if never:
        return ", and nothing can be learned"
    if hacked:
        lengths = run["response_length"].finite.values if "response_length" in run else np.empty(0)
        longer = len(lengths) >= 5 and course(lengths).rises
        return f"; the reward rises in training alone: it pays for {'length' if longer else 'something other than the task'}"
    return ", for the task is solved" if solved else ""
