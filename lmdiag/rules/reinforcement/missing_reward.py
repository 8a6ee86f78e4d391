from __future__ import annotations

import numpy as np

from lmdiag.account import EMPTY
from lmdiag.finding import Curve, Finding, Findings, NotChecked, Severity, rule
from lmdiag.naming import spelling
from lmdiag.run import Run
from lmdiag.stats.windows import median

LEAST_GAP = 5  # records
USUAL_GAPS = 3.0  # times the usual distance of two rewards
PART = "rewards/"


@rule(family="reinforcement", needs=("measured",), severity=Severity.ERROR, min_points=5)
def check(run: Run, curve: Curve) -> Findings:
    """No response has a reward, or a reward function never answers.

    ## What it looks for
    Records in which the reward is null although the policy is trained on, and reward functions that are null in every record.

    ## How it decides
    The log goes on for five records or more, and three times the usual distance of two rewards, after the last reward: an error. The same where no
    record at all holds a reward beside the measures of a policy. A function without a value in any record, or that stops while others go on, is a warning.

    ## Why it matters
    Without a reward every advantage is 0, the gradient is 0 and nothing is trained. The usual cause is an exception or a timeout in the
    reward function, not the model.

    ## False alarms it avoids
    Records without a reward between those with one: trainers that use responses several times log it only when they generate.

    ## What to try
    Call the reward function by hand on the responses of the first step without a reward.

    ## References
    - TRL 1.16, GRPOTrainer: functions that return None are left out of the sum, and a response for which all do has no reward.
    """
    steps = curve.series.steps
    if "reward" not in run or not len(run["reward"]):
        if any(column.use == EMPTY and spelling(column.name).name == "reward" for column in run.account.columns):
            yield _none(run, run.first_step, len(steps), "The reward is null in every record")
        else:
            yield NotChecked("the log has no reward")
        return
    rewarded = run["reward"].steps
    after = steps[steps > rewarded[-1]]
    usual = float(median(np.diff(rewarded))) if len(rewarded) > 1 and len(after) else 0.0
    if len(after) >= LEAST_GAP and steps[-1] - rewarded[-1] > USUAL_GAPS * usual:
        yield _none(run, int(after[0]), len(after), f"No response has a reward from {run.place(int(after[0]))} on")
        return
    yield from _functions(run, rewarded)


def _none(run: Run, first: int, records: int, message: str) -> Finding:
    return Finding(
        f"{message}: the last {records:,} records are trained on nothing."
        if "from" in message
        else f"{message}: nothing is trained.",
        first,
        run.last_step,
        "reward",
        {"records": records},
        (
            f"Look at the reward function, not at the model: call it on the responses of {run.place(first)}.",
            "Let it raise what it catches: a timeout, a parser or a server that fails is mostly turned into None.",
        ),
    )


def _functions(run: Run, rewarded: np.ndarray) -> Findings:
    empty = (spelling(column.name).name for column in run.account.columns if column.use == EMPTY)
    for name in dict.fromkeys(name for name in empty if name.startswith(PART) and not name.endswith("/std")):
        yield _silent(run, name, run.first_step, "never returned a value")
    for name, series in run.series.items():
        after = rewarded[rewarded > series.steps[-1]] if len(series) else rewarded[:0]
        if name.startswith(PART) and not name.endswith("/std") and len(series) >= LEAST_GAP <= len(after):
            gap = USUAL_GAPS * float(np.diff(series.steps).max())
            if rewarded[-1] - series.steps[-1] > gap:
                yield _silent(run, name, int(after[0]), f"returned nothing from {run.place(int(after[0]))} on")


def _silent(run: Run, name: str, first: int, what: str) -> Finding:
    return Finding(
        f"The reward function {name.removeprefix(PART)} {what}: the other functions alone decide.",
        first,
        run.last_step,
        name,
        {},
        (
            "Check which column of the data it expects, and that it does not return None for every response.",
            "Remove it if it is not meant to apply to this data.",
        ),
        Severity.WARNING,
    )
