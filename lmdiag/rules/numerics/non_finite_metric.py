from __future__ import annotations

import numpy as np

from lmdiag import advice
from lmdiag.finding import Curve, Finding, Findings, NotChecked, Severity, rule
from lmdiag.run import Run, Series

WATCHED = (
    "reward kl sequence_kl update_kl entropy policy_loss value_loss value_grad_norm advantage importance_ratio reward_margin chosen_reward rejected_reward "
    "chosen_logp rejected_logp logp_mismatch prob_mismatch mismatch_kl explained_variance reward_std"
).split()
# 0/0 where all returns are equal, or a group has one response: never an error
UNDEFINED = ("explained_variance", "reward_std")
LASTING = 3  # records, or all to the end


@rule(family="numerics", needs=("measured",), severity=Severity.ERROR, min_points=1)
def check(run: Run, _: Curve) -> Findings:
    """A reward, divergence, margin or part of the loss is NaN or infinite.

    ## What it looks for
    Values that are not finite in what preference and reinforcement runs measure beside their loss.

    ## How it decides
    Three such records of one metric, or all to the end, are an error; fewer are a warning, and so are an explained variance or a spread of rewards, which are 0/0 where nothing varies.

    ## Why it matters
    Trainers replace a loss that is not finite by 0, or leave it out of the mean: the loss looks sound, and what it is made of does not.

    ## False alarms it avoids
    Values that are null or missing; the ratio of a single token.

    ## What to try
    Look for empty responses and for answers of which nothing is left after truncation; compute log-probabilities in fp32.

    ## References
    - TRL 1.16: the log-ratio of an empty answer is 0/0.
    """
    if run.kind not in ("preference", "reinforcement"):
        yield NotChecked("the run trains neither on preferences nor by reinforcement")
        return
    bad = {name: run[name] for name in WATCHED if name in run and not np.isfinite(run[name].values).all()}
    if not bad:
        return
    first = min(
        bad, key=lambda name: (name in UNDEFINED, int(bad[name].steps[np.argmax(~np.isfinite(bad[name].values))]))
    )
    yield _finding(run, first, bad[first], [name for name in bad if name != first])


def _finding(run: Run, name: str, series: Series, others: list[str]) -> Finding:
    wrong = ~np.isfinite(series.values)
    step, last = int(series.steps[wrong][0]), int(series.steps[wrong][-1])
    to_the_end = bool(wrong[int(np.argmax(wrong)) :].all()) and len(wrong) > 1
    lasting = name not in UNDEFINED and (int(wrong.sum()) >= LASTING or (to_the_end and not run.unfinished))
    beside = f"; so {'is' if len(others) == 1 else 'are'} {', '.join(others)}" if others else ""
    until = " and stays so" if to_the_end and int(wrong.sum()) > 1 else ""
    return Finding(
        f"{name} is not finite in {int(wrong.sum()):,} of {len(wrong):,} records, first at {run.place(step)}{until}{beside}.",
        step,
        last,
        name,
        {"records": int(wrong.sum()), "share": float(wrong.mean())},
        (
            f"Look at the responses or pairs of {run.place(step)}: an empty answer, or one that was truncated to nothing, gives 0/0.",
            advice.rewind(run, step) if to_the_end else advice.lower_lr(run, step),
            "Compute log-probabilities in fp32.",
        ),
        Severity.ERROR if lasting else Severity.WARNING,
    )
