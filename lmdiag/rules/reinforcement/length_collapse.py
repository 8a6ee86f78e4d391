from __future__ import annotations

from lmdiag import advice
from lmdiag.figures import figure
from lmdiag.finding import Finding, Findings, Severity, rule, too_few
from lmdiag.run import Run, Series
from lmdiag.stats.course import SIGMAS, course, first_lasting

SHRUNK = 0.2  # times the length at the start
LEAST_TOKENS = 20


@rule(family="reinforcement", needs=("response_length",), severity=Severity.WARNING, min_points=10)
def check(run: Run, lengths: Series, *, shrunk: float = SHRUNK) -> Findings:
    """Responses collapse to a few tokens.

    ## What it looks for
    A policy that answers with almost nothing.

    ## How it decides
    The median length of the last fifth of the records is `shrunk` of that of the first tenth or less, which was 20 tokens or more, by three standard
    errors or more. It is information only where the reward rises: short answers may be what was asked for.

    ## Why it matters
    A response that ends at once cannot hold an answer, and nothing else is tried any more: exploration is over.

    ## False alarms it avoids
    Reasoning that becomes shorter by a half or two thirds, as it does where correct answers are also the short ones.

    ## What to try
    A reward for the content that short responses leave out; a check that ending at once is never the best paid choice, such as with a penalty for every
    token, or with wrong answers that cost more than none.

    ## References
    - Singhal et al. 2023, A long way to go: investigating length correlations in RLHF, arXiv:2310.03716.
    """
    values = lengths.values
    if len(values) < 10:
        yield too_few(len(values), "finite lengths", 10)
        return
    moved = course(values)
    if moved.end > shrunk * moved.start or moved.start < LEAST_TOKENS or -moved.gain < SIGMAS * moved.error:
        return
    step = int(lengths.steps[first_lasting(values <= (moved.start + moved.end) / 2)])
    rewards = run["reward"].finite.values if "reward" in run else values[:0]
    rises = len(rewards) >= 5 and course(rewards).rises
    beside = f", while the reward {'rises' if rises else 'does not rise'}" if len(rewards) else ""
    yield Finding(
        f"The responses shrank from {figure(moved.start, 3)} to {figure(moved.end, 2)} tokens, half of the way by {run.place(step)}{beside}.",
        step,
        int(lengths.steps[-1]),
        "response_length",
        {"start": moved.start, "end": moved.end, "share": moved.end / moved.start},
        (
            f"Read a response of {run.place(run.last_step)}: is it an answer?",
            "Pay for the content that short responses leave out, or for a length of at least "
            f"{figure(moved.start / 2, 2)} tokens, half of that at the start.",
            advice.raise_kl(run, run.last_step, 2),
        ),
        Severity.INFO if rises else Severity.WARNING,
    )
