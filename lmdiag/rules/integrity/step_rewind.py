from typing import NamedTuple

import numpy as np

from lmdiag.figures import figure
from lmdiag.finding import Curve, Finding, Findings, Severity, rule
from lmdiag.run import Run
from lmdiag.stats.noise import scatter

ENOUGH = 8  # repeated steps from which the two writings can be compared
LEAST_SHARE = 0.01  # of the level: less costs nothing


class _Difference(NamedTuple):
    """The mean difference of two writings of the same steps: in standard errors, and as a share of the level, above 0 where the
    later one is worse."""

    errors: float
    share: float


@rule(family="integrity", needs=("curve",), severity=Severity.INFO)
def check(run: Run, _: Curve, *, deviations: float = 3.0) -> Findings:
    """The step counter goes back: the run was resumed from an earlier step.

    ## What it looks for
    A step smaller than the one before it, which opens a new segment.

    ## How it decides
    Where both segments logged the same steps, their losses are compared. The later ones are used. It is a warning where they are worse: in the mean by `deviations`
    times the noise of the curve, and by 1% of its level. Later losses that are better by as much are said: other data or another rate, or data seen before. Where the log goes back to its very beginning,
    nothing was resumed, and nothing is compared.

    ## Why it matters
    A resume is normal. One that repeats its steps with other losses has lost the state of the sampler, the optimizer or the random
    numbers.

    ## False alarms it avoids
    Equal steps of training and evaluation records, counters that restart each epoch, polled logs that repeat a record.

    ## What to try
    Restore model, optimizer, scheduler, sampler and random state together. To check, log the first batch after a
    resume and compare it with the uninterrupted run.

    ## References
    - Bekman, Machine Learning Engineering, chapter on training reproducibility.
    """
    for before, after in zip(run.segments, run.segments[1:]):
        if after.first_step > before.last_step:
            continue
        overlap = before.last_step - after.first_step
        evidence: dict[str, float] = {
            "from_step": before.last_step,
            "to_step": after.first_step,
            "repeated_steps": overlap + 1,
        }
        message = (
            f"The log goes back from {run.place(before.last_step)} to {run.place(after.first_step)}; "
            "the later values are used."
        )
        anew = after.first_step <= run.segments[0].first_step
        if anew:
            message += " That is where the log begins: another training follows, and it was not resumed."
        differs = None if anew else _difference(run, after.first_step, before.last_step)
        severity = Severity.INFO
        if differs is not None:
            evidence |= {"mean_difference_in_sigma": differs.errors, "share_of_the_level": differs.share}
            if differs.errors > deviations:
                worse = differs.share >= LEAST_SHARE
                severity = Severity.WARNING if worse else Severity.INFO
                better = "better" if differs.share < 0 else "worse"
                message += (
                    f" The repeated losses are {figure(abs(differs.share) * 100, 2)}% {better} than the first time"
                )
                message += ": the resume did not restore everything." if worse else "."
        yield Finding(
            message,
            after.first_step,
            max(before.last_step, after.first_step),
            "loss",
            evidence,
            ("Write every training into a file of its own.",)
            if anew
            else ("Check that a resume restores optimizer, scheduler, sampler and random state.",),
            severity,
        )


def _difference(run: Run, first_step: int, last_step: int) -> _Difference | None:
    """Return how the later writing of the repeated steps differs from the earlier; None where too few were repeated."""
    if "loss" not in run.superseded or "loss" not in run:
        return None
    earlier, later = run.superseded["loss"].finite.between(first_step, last_step), run["loss"].finite
    shared, left, right = np.intersect1d(earlier.steps, later.steps, return_indices=True)
    sigma = scatter(later.values)
    if len(shared) < ENOUGH or sigma == 0:
        return None
    risen = float(np.mean(later.values[right] - earlier.values[left]))
    level = float(np.mean(np.abs(earlier.values[left])))
    return _Difference(abs(risen) / (sigma * float(np.sqrt(2 / len(shared)))), risen / max(level, 1e-12))
