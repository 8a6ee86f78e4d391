from __future__ import annotations

import numpy as np

from lmdiag.figures import figure
from lmdiag.finding import Curve, Finding, Findings, NotChecked, Severity, rule, too_few
from lmdiag.run import Run, Series
from lmdiag.stats.course import first_lasting
from lmdiag.stats.windows import median

LARGEST = {  # what healthy runs stay ten times below
    "logp_mismatch": (0.1, "log-probabilities", "nats"),
    "prob_mismatch": (0.05, "probabilities", ""),
    "mismatch_kl": (0.05, "distributions", "nats per token"),
}


@rule(family="reinforcement", needs=("measured",), severity=Severity.WARNING, min_points=1)
def check(run: Run, _: Curve) -> Findings:
    """Sampler and trainer give the same tokens different probabilities.

    ## What it looks for
    Responses that the policy as it is trained would not have written, because the engine that samples computes something else.

    ## How it decides
    The median over the last third of the records of the mean difference of the log-probabilities is 0.1 nats or more, that of the probabilities 0.05 or more,
    or their divergence 0.05 nats per token or more.

    ## Why it matters
    The policy gradient assumes that responses are its own. Beyond these limits training goes off-policy without knowing, and collapses late and suddenly.

    ## False alarms it avoids
    Rounding of bf16 and other kernels, which gives differences ten times smaller; single tokens.

    ## What to try
    The same precision on both sides; new weights synchronised before each batch; importance sampling that corrects for it (TIS).

    ## References
    - Yao et al. 2025, Your efficient RL framework secretly brings you off-policy RL training.
    - verl 0.9, rollout correction.
    """
    known = [(name, run[name].finite) for name in LARGEST if name in run]
    if not known:
        yield NotChecked("the log does not compare the probabilities of the sampler with those of the trainer")
        return
    if max(len(series) for _, series in known) < 5:
        yield too_few(max(len(series) for _, series in known), "finite differences of probabilities", 5)
        return
    for name, series in known:
        if len(series) >= 5 and float(median(series.values[-max(3, len(series) // 3) :])) >= LARGEST[name][0]:
            yield _finding(run, name, series)
            return


def _finding(run: Run, name: str, series: Series) -> Finding:
    limit, what, unit = LARGEST[name]
    last = series.values[-max(3, len(series) // 3) :]
    late = float(median(last))
    step = int(series.steps[min(first_lasting(np.asarray(series.values >= limit)), len(series) - len(last))])
    return Finding(
        f"The {what} of the sampler and of the trainer differ by {figure(late, 3)}{f' {unit}' if unit else ''} (median of the last third of the records), by "
        f"{figure(limit)} or more in most records from {run.place(step)} on: the responses are not those of the policy that is trained.",
        step,
        int(series.steps[-1]),
        name,
        {"late": late, "highest": float(series.values.max())},
        (
            "Check that the sampler has the weights of the last update, adapters merged.",
            "Sample and train in the same precision (fp16 or fp32 where bf16 differs), with the same attention kernel.",
            "Correct for it with truncated importance sampling.",
        ),
    )
