from __future__ import annotations

import numpy as np

from lmdiag.beginning import holds_start
from lmdiag.figures import figure, percent
from lmdiag.finding import BEGINS_LATER, Finding, Findings, NotChecked, Severity, rule, too_few
from lmdiag.run import Run, Series
from lmdiag.stats.course import SIGMAS, Course, course
from lmdiag.stats.limits import SURE
from lmdiag.stats.units import shares
from lmdiag.stats.windows import median

LUCK = 1.5  # standard errors: of the ten stretches of a run, the highest is sqrt(ln 10) of them high by chance
AT_BOUND = 0.9  # of the highest reward of a response: there is little left to gain
# Below so many records: Mann-Kendall z, and errors, which a gain that noise may hide exceeds
NOISY = ((40, 0.7, 1.0), (100, 1.2, 2.0))
ALL_RIGHT = 1.0  # the reward of right answers, where the log has no highest reward


@rule(family="reinforcement", needs=("reward",), severity=Severity.WARNING, min_points=10)
def check(run: Run, rewards: Series) -> Findings:
    """Reward does not rise over the run.

    ## What it looks for
    A policy that learns nothing that is rewarded.

    ## How it decides
    No upward rank trend (Mann-Kendall, one-sided 5%) of the rewards, and the median of the last fifth is not above that of the first records by three standard errors, nor
    any rolling median before it by 4.5, of which 1.5 are the luck of the highest. With fewer than 100 records the trend must be below 1.2 and the gain below
    two standard errors, with fewer than 40 below 0.7 and one, or the rule says that it cannot tell. Neither do the rewards of an evaluation rise.

    ## Why it matters
    The run costs its compute and leaves the model as it was.

    ## False alarms it avoids
    Rewards that stay at nine tenths or more of the highest reward of a response (of 1 where the log has none); logs that begin in the middle of a run; a reward that rose and fell again, which
    `reward-collapse` judges; the loss, which says nothing about progress here.

    ## What to try
    Responses of one group must differ in reward: an easier task, a graded reward, more responses for each prompt, a higher sampling temperature. Then
    the learning rate. A reward of 0 in every record is mostly a parser that fits no response.

    ## References
    - Shao et al. 2024, DeepSeekMath (GRPO), arXiv:2402.03300.
    - Yu et al. 2025, DAPO, arXiv:2503.14476: groups of equal rewards give no gradient.
    """
    values = rewards.values
    if len(values) < 10:
        yield too_few(len(values), "finite rewards", 10)
        return
    if not holds_start(run, rewards):
        yield BEGINS_LATER
        return
    moved = course(values)
    if moved.rises or moved.high - moved.start > (SIGMAS + LUCK) * max(moved.error, 1e-12) or _evaluation_rises(run):
        return
    if _at_bound(run, values, moved):
        yield NotChecked("the reward is near its highest value from the start")
        return
    noisy, errors = next((limits for most, *limits in NOISY if len(values) < most), (SURE, SIGMAS))
    if moved.trend > noisy or moved.gain > errors * moved.error:
        yield NotChecked("the rewards are too few and too noisy to tell whether they rise")
        return
    constant = float(np.ptp(values)) == 0
    went = (
        f"is {figure(moved.start, 3)} in every record"
        if constant
        else f"does not rise by more than its noise: a level of {figure(moved.start, 3)} at the start and of {figure(moved.end, 3)} at the end of {len(values):,} records"
    )
    yield Finding(
        f"The reward {went}.",
        run.first_step,
        int(rewards.steps[-1]),
        "reward",
        {"start": moved.start, "end": moved.end, "trend_z": moved.trend, "records": len(values), **_spread(run)},
        _advice(run, moved, constant),
    )


def _evaluation_rises(run: Run) -> bool:
    sets = [s.finite.values for name, s in run.series.items() if name.endswith("/reward")]
    return any(len(values) >= 5 and course(values).rises for values in sets)


def _at_bound(run: Run, values: np.ndarray, moved: Course) -> bool:
    highest = run["reward_max"].finite.values if "reward_max" in run else np.empty(0)
    if not len(highest) and values.max() > ALL_RIGHT:  # a sum of several rewards, whose bound is not known
        return False
    bound = float(highest.max()) if len(highest) else ALL_RIGHT
    return bound > 0 and min(moved.start, moved.end) >= AT_BOUND * bound


def _spread(run: Run) -> dict[str, float]:
    found = {}
    for name in ("reward_std", "zero_std_share"):
        values = run[name].finite.values if name in run else np.empty(0)
        known = shares(values) if name == "zero_std_share" else values
        if known is not None and len(known):
            found[name] = float(median(known))
    return found


def _advice(run: Run, moved: Course, constant: bool) -> tuple[str, ...]:
    spread = _spread(run)
    said = []
    if constant:
        said.append("Run the reward function on a few responses by hand: its mean is the same in every record.")
    if spread.get("zero_std_share", 0) > 0.5 or spread.get("reward_std") == 0:
        share = spread.get("zero_std_share")
        most = (
            f"{percent(share)} of the groups have equal rewards (median of the run)"
            if share
            else "Most groups have equal rewards"
        )
        said.append(f"{most} and give no gradient: mix in easier prompts, or sample more responses.")
    lr = run.value_at("lr", run.first_step + (run.last_step - run.first_step) // 2)
    if lr and np.isfinite(lr):
        said.append(f"If rewards differ within groups, raise the learning rate: it was {figure(lr, 3)} in the middle.")
    said.append("Give a graded reward for parts of the task, so that the first steps in its direction are paid.")
    return tuple(said)
