from __future__ import annotations

from lmdiag import advice
from lmdiag.figures import figure
from lmdiag.finding import Finding, Findings, NotChecked, Severity, rule, too_few
from lmdiag.run import Run, Series
from lmdiag.stats.course import SIGMAS, course, first_lasting

NATS = 50.0  # of an answer: half the log-probability of one of a hundred tokens
BETA = 0.1  # where the log does not say it: what nearly all programs begin with
OF_A_REFERENCE = ("dpo", "kto")


@rule(family="preference", needs=("chosen_reward",), severity=Severity.WARNING, min_points=8)
def check(run: Run, rewards: Series, *, nats: float = NATS) -> Findings:
    """Reward of the preferred answers falls far below 0: they lose more than they gain on the rejected ones.

    ## What it looks for
    Preferred answers that the policy writes much less often than its reference did, in logs that hold rewards and no log-probabilities, too.

    ## How it decides
    The reward of DPO and KTO is `beta` times the log-probability that an answer gained since the reference. The median of the last fifth of the records lies `nats` times
    beta below 0 (beta as the settings say it, else 0.1), by three standard errors below the first record or the first tenth of them, and as far below 0 as the margin is above. Where the margin
    is larger, it is information.

    ## Why it matters
    What the loss rewards is the difference alone. A policy that takes probability from both answers gives it to others, which nobody preferred.

    ## False alarms it avoids
    The fall to -1 or -2 that most sound runs show; rewards that are no distance from a reference, as those of ORPO, SimPO and reward models.

    ## What to try
    A lower rate, a larger beta, a term of likelihood on the preferred answers (rpo_alpha), fewer epochs.

    ## References
    - Razin et al. 2024, Unintentional unalignment: likelihood displacement in direct preference optimization, arXiv:2410.08847.
    - Rafailov et al. 2024, From r to Q*: your language model is secretly a Q-function, arXiv:2404.12358: falling rewards of preferred answers.
    """
    if run.trained_by not in OF_A_REFERENCE:
        yield NotChecked("the rewards are no distances from a reference")
        return
    values = rewards.values
    if len(values) < 8:
        yield too_few(len(values), "finite rewards", 8)
        return
    moved = course(values)
    known = advice.kl_coefficient(run, run.last_step)
    beta = known or BETA
    bar, first = -nats * beta, float(values[0])
    begun = max(moved.start, first) if first > bar / 2 else moved.start  # a policy may be gone after the first record
    if moved.end > bar or begun - moved.end < SIGMAS * moved.error:
        return
    margins = run["reward_margin"].finite.values if "reward_margin" in run else values[:0]
    margin = course(margins).end if len(margins) >= 5 else 0.0
    step = int(rewards.steps[first_lasting(values <= bar)])
    said = f" at a beta of {figure(beta, 3)}" if known else f", if beta is {figure(BETA)}, as usual"
    beside = f", beside a margin of {figure(margin, 3)}" if len(margins) >= 5 else ""
    yield Finding(
        f"The reward of the preferred answers fell from {figure(begun, 3)} to {figure(moved.end, 3)}{beside}, mostly {figure(bar, 3)} or less from "
        f"{run.place(step)} on: they lost {figure(-moved.end / beta, 3)} nats of their log-probability{said}.",
        step,
        int(rewards.steps[-1]),
        "chosen_reward",
        {
            "start": begun,
            "end": moved.end,
            "nats": -moved.end / beta,
            **({"margin": margin} if len(margins) >= 5 else {}),
        },
        (
            advice.lower_peak(run, step),
            "Raise beta: a larger one holds the policy nearer to the reference.",
            "Add the likelihood of the preferred answers to the loss (rpo_alpha 1, or an SFT term of 0.1 to 1).",
        ),
        Severity.WARNING if -moved.end >= margin else Severity.INFO,
    )
