from __future__ import annotations

import numpy as np

from lmdiag import advice
from lmdiag.figures import figure
from lmdiag.finding import Curve, Finding, Findings, NotChecked, Severity, rule, too_few
from lmdiag.run import Run, Series
from lmdiag.stats.course import MOST_POINTS, course, first_lasting
from lmdiag.stats.windows import rolling_median

LARGEST = {"kl": 2.0, "sequence_kl": 50.0}  # nats
BURST = 5.0  # times the limit
BURSTS, BURST_SHARE = 3, 0.02
NEGATIVE = {"kl": -0.5, "sequence_kl": -5.0}


@rule(family="reinforcement", needs=("measured",), severity=Severity.WARNING, min_points=1)
def check(run: Run, _: Curve, *, token: float = LARGEST["kl"], response: float = LARGEST["sequence_kl"]) -> Findings:
    """Policy runs away from its reference: the KL divergence explodes.

    ## What it looks for
    A divergence from the reference that no useful policy has, lasting or in bursts, or one that is clearly negative.

    ## How it decides
    The rolling median of the divergence (a twentieth of the records, three at least) reaches `token` nats per token, or `response` nats where
    the log sums it over a response; or three records and 2% of them or more lie five times above. It is an error where the reward ends no higher than it began. A rolling median below -0.5 (-5 for
    a response) is a warning: responses are then not sampled from the policy that is trained.

    ## Why it matters
    At 2 nats per token the policy writes what the reference gives a tenth of the probability, at every token: text that the reward likes and nobody else.
    Runs that help people spend 10 to 25 nats on a whole response.

    ## False alarms it avoids
    Single records far off, which the usual estimator (exp of a log-ratio) gives for one odd token; slow growth below the limit.

    ## What to try
    A larger KL coefficient, a lower rate, fewer updates for each batch of responses. Compare samples from before and after.

    ## References
    - Stiennon et al. 2020, Learning to summarize from human feedback, arXiv:2009.01325, figure 5.
    - Gao et al. 2022, Scaling laws for reward model overoptimization, arXiv:2210.10760.
    """
    limits = {"kl": token, "sequence_kl": response}
    known = [(name, run[name].finite) for name in limits if name in run]
    if not known:
        yield NotChecked("the log has no divergence from the reference")
        return
    name, divergence = known[0]
    if len(divergence) < 5:
        yield too_few(len(divergence), "finite values of the divergence", 5)
        return
    yield from _judged(run, name, divergence, limits[name])


def _judged(run: Run, name: str, divergence: Series, limit: float) -> Findings:
    values, short = divergence.values, divergence.thinned(MOST_POINTS)
    width = min(max(3, len(short) // 20) | 1, len(short))
    levels = rolling_median(short.values, width)
    bursts = values >= BURST * limit
    if levels.max() >= limit:
        first = int(short.steps[int(np.argmax(levels >= limit)) + width // 2])
        said = f"reaches a level of {figure(limit, 3)} nats{_per(name)} at {run.place(first)}, and of {figure(float(levels.max()), 3)} at its highest"
        yield _finding(run, name, divergence, first, said, float(levels[-1]))
    elif bursts.sum() >= max(BURSTS, BURST_SHARE * len(values)):
        first = int(divergence.steps[np.argmax(bursts)])
        said = f"bursts {int(bursts.sum()):,} times, up to {figure(float(values.max()), 3)} nats{_per(name)}, first at {run.place(first)}"
        yield _finding(run, name, divergence, first, said, float(levels[-1]))
    elif levels.min() <= NEGATIVE[name]:
        at = int(divergence.steps[first_lasting(values <= NEGATIVE[name])])
        yield Finding(
            f"The divergence from the reference is negative: {figure(float(levels.min()), 3)} nats"
            f"{_per(name)}: the responses are not sampled from the policy that is trained.",
            at,
            int(divergence.steps[-1]),
            name,
            {"lowest": float(levels.min())},
            (
                "Sample with temperature 1, top_k 0 and top_p 1, and without a minimal length: all of these change the policy.",
                "Check that padding and the tokens behind the end of a response are masked.",
            ),
            Severity.WARNING,
        )


def _per(name: str) -> str:
    return " per token" if name == "kl" else " a response"


def _finding(run: Run, name: str, divergence: Series, step: int, what: str, end: float) -> Finding:
    rewards = run["reward"].finite.values if "reward" in run else np.empty(0)
    moved = course(rewards) if len(rewards) >= 5 else None
    gained = moved is not None and moved.rises
    beside = ""
    if moved is not None:
        beside = f", while the reward went from {figure(moved.start, 3)} to {figure(moved.end, 3)}"
    return Finding(
        f"The divergence from the reference {what}{beside}.",
        step,
        int(divergence.steps[-1]),
        name,
        {"highest": float(divergence.values.max()), "end": end},
        (
            advice.raise_kl(run, step, 3),
            advice.lower_peak(run, step),
            "Make fewer updates for each batch of responses, or a smaller clip range.",
            f"Read what the policy writes after {run.place(step)}: high rewards so far from the reference are mostly hacked.",
        ),
        Severity.WARNING if gained or moved is None else Severity.ERROR,
    )
