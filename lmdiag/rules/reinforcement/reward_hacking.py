from __future__ import annotations

import re

from lmdiag import advice
from lmdiag.figures import figure, percent
from lmdiag.finding import Finding, Findings, Severity, rule, too_few
from lmdiag.patterns import lazy
from lmdiag.run import Run, Series
from lmdiag.stats.course import SIGMAS, course
from lmdiag.task_measures import LeftBehind, left_behind, worse_answers

PART = "rewards/"
OF_ANSWERS = lazy(r"correct|accura|answer|solve|verif|exact|match|truth|success|outcome|pass(ed|$|_)", re.IGNORECASE)
LOST = 0.2  # of its level at the start
LONGER = 1.3  # times the length at the start


@rule(family="reinforcement", needs=("reward",), severity=Severity.WARNING, min_points=10)
def check(run: Run, rewards: Series, *, lost: float = LOST) -> Findings:
    """Reward rises, and what it stands for does not: the policy found what is paid for without being wanted.

    ## What it looks for
    A reward of the training that goes up while the reward of an evaluation, or the part of it that is paid for right answers, stays or goes down.

    ## How it decides
    Any of three, beside a reward of the training that rises beyond chance (three standard errors, or the ranks and one):

    | what | measured on |
    |---|---|
    | an evaluation that stays | five evaluations or more; its gain since the first, from the lower of the first two and with three standard errors added, is less than a fifth of what the training gained meanwhile, it is no tenth of its own level beyond three standard errors, and it does not rise |
    | an evaluation that falls | from its highest rolling median, or from the first where that lies three standard deviations above it, by six standard errors, two standard deviations, half of what it had gained, and a fifth of what the training gained since |
    | answers that get worse | a reward function named after right answers (correct, accuracy, answer, solved, verified, match, …) falls by three standard errors and by `lost` of its level |

    One evaluation set that follows the training silences the first two. The accuracy of an evaluation counts as its reward does where it falls, and by a fifth of its highest level.

    ## Why it matters
    The number that is trained on has come apart from what it was to measure, and every further update makes the policy better at the wrong thing.

    ## False alarms it avoids
    Evaluations whose noise could hide a gain; gains from before the first evaluation. Length and divergence that grow with the reward are no
    evidence: policies that learn to reason do both (`length-explosion` and `kl-explosion` look at their size). Nor is any other part of the reward that falls: a format that is given up for answers is a good bargain.

    ## What to try
    Read the responses with the highest rewards. Subtract a price for what they share (length, repetition, phrases), verify answers, or hold the policy nearer to the reference.

    ## References
    - Gao et al. 2022, Scaling laws for reward model overoptimization, arXiv:2210.10760.
    - Skalse et al. 2022, Defining and characterizing reward hacking, arXiv:2209.13085.
    """
    if len(rewards) < 10:
        yield too_few(len(rewards), "finite rewards", 10)
        return
    found = left_behind(run) or worse_answers(run)
    if found is not None:
        yield _of_evaluation(run, found)
        return
    moved = course(rewards.values)
    if not moved.rises:
        return
    for name, series in run.series.items():
        part = name.removeprefix(PART).removesuffix("/mean")
        if not name.startswith(PART) or name.endswith("/std") or not OF_ANSWERS.search(part) or len(series.finite) < 10:
            continue
        seen = course(series.finite.values)
        if -seen.gain > max(SIGMAS * seen.error, lost * abs(seen.start)):
            yield Finding(
                f"The reward rose from {figure(moved.start, 3)} to {figure(moved.end, 3)}, and its part {part} fell from {figure(seen.start, 3)} to "
                f"{figure(seen.end, 3)}{_longer(run)}: the policy is paid for something other than right answers.",
                int(series.finite.steps[0]),
                int(series.finite.steps[-1]),
                name,
                {"start": seen.start, "end": seen.end, "reward_start": moved.start, "reward_end": moved.end},
                _advice(run, f"Give {part} more weight than the parts that can be had without it."),
            )
            return


def _of_evaluation(run: Run, found: LeftBehind) -> Finding:
    split, _, measure = found.name.rpartition("/")
    (before, after), (start, end) = found.trained, found.evaluated
    if found.fell:
        how = f"The {measure} of {split} fell from {figure(start, 3)} around {run.place(found.step)} to {figure(end, 3)}, while {'that' if measure == 'reward' else 'the reward'} of the training rose on"
    else:
        how = f"The reward of {split} went from {figure(start, 3)} to {figure(end, 3)} (median of the last two), while that of the training rose"
    return Finding(
        f"{how} from {figure(before, 3)} to {figure(after, 3)}{_longer(run)}: what is learned pays in training alone.",
        found.step,
        run.last_step,
        found.name,
        {"start": start, "end": end, "reward_start": before, "reward_end": after},
        _advice(
            run,
            "Compare both rewards of the same response: the training must pay for nothing that the evaluation does not."
            if measure == "reward"
            else "Compare the rewards of right and wrong responses of the evaluation: right answers must earn more.",
        ),
    )


def _longer(run: Run) -> str:
    lengths = run["response_length"].finite.values if "response_length" in run else ()
    if len(lengths) < 10:
        return ""
    moved = course(lengths)
    longer = moved.rises and moved.end >= LONGER * moved.start > 0
    return f"; responses are {percent(moved.end / moved.start - 1)} longer" if longer else ""


def _advice(run: Run, first: str) -> tuple[str, ...]:
    return (
        first,
        f"Read the responses of {run.place(run.last_step)} with the highest rewards: what they share is what is paid for.",
        advice.raise_kl(run, run.last_step, 2),
        "If the prompts are few, take more of them: an answer learned by heart does not carry over either.",
    )
