import numpy as np

from lmdiag.figures import figure
from lmdiag.finding import Curve, Finding, Findings, NotChecked, Severity, rule, too_few
from lmdiag.metrics import IN_BITS, LN2
from lmdiag.run import Run, Series
from lmdiag.stats.alignment import shared_steps
from lmdiag.stats.noise import scatter
from lmdiag.stats.windows import median

PAIRS = 3
FEWEST_IMPOSSIBLE, MOSTLY = 2, 0.9  # records, and of those of the set
HIGHEST_LOSS = 12.0  # nats; programs cap the exponent, and beyond ln V nobody reads the perplexity


@rule(family="integrity", needs=("curve",), severity=Severity.INFO)
def check(run: Run, _: Curve, *, tolerance: float = 0.02) -> Findings:
    """Perplexity is not the exponential of the loss, or below 1.

    ## What it looks for
    A logged perplexity that does not belong to the loss logged at the same steps of the same set, or that no model has.

    ## How it decides
    Below 1, beyond its rounding, beside a loss below 0, in two records or more and in nine of ten of the set: a warning, since no probability exceeds 1. Else the median of ln(perplexity) - loss is beyond `tolerance`, beyond what rounding explains and beyond sigma squared over two, by which the mean of the
    exponentials of single batches exceeds the exponential of their mean (twice that is allowed). If ln(perplexity) is ln 2 times the loss, the loss is in bits:
    that is said; and it is a warning where the header says nats, because then the perplexity is wrong. Everything else is information.

    ## Why it matters
    A perplexity averaged over batches, taken to another base or over other tokens cannot be compared with anyone else's.

    ## False alarms it avoids
    A perplexity of 0 beside a loss above 0, which was not computed; rewards and preferences. Rounded perplexities, capped exponents (losses above 12 are left out), losses in bits.

    ## What to try
    Average the loss over tokens first, in nats; exponentiate once. Of a loss below 0 look at the sign, and at what the criterion is given: it takes log probabilities, and
    of the target alone.

    ## References
    - Jelinek et al. 1977, Perplexity, a measure of the difficulty of speech recognition tasks; Jensen's inequality.
    """
    pairs = run.beside_loss("ppl")
    if not pairs:
        yield NotChecked("the log has no perplexity beside a loss")
    most = 0
    impossible = {name: said for name, pair in pairs.items() if (said := _impossible(run, name, *pair))}
    yield from impossible.values()
    for name, (perplexities, losses) in pairs.items():
        left, right = shared_steps(perplexities.steps, losses.steps)
        shared = losses.steps[right]
        perplexity, loss = perplexities.values[left], losses.values[right]
        good = np.isfinite(perplexity) & np.isfinite(loss) & (perplexity > 1) & (loss > 0) & (loss < HIGHEST_LOSS)
        most = max(most, int(good.sum()))
        if good.sum() < PAIRS:
            continue
        found = _compare(
            np.log(perplexity[good]), loss[good], perplexities.rounding / float(median(perplexity[good])), tolerance
        )
        if found is None:
            continue
        why, evidence = found
        in_bits = why == IN_BITS
        yield Finding(
            f"{name} is not exp(loss): {why} ({figure(float(median(perplexity[good])))} where exp(loss) is "
            f"{figure(float(median(np.exp(loss[good]))))}).",
            int(shared[good][0]),
            int(shared[good][-1]),
            name,
            evidence,
            (
                "Convert one of them: a loss in nats is the loss in bits times 0.693."
                if in_bits
                else "Average the loss over tokens, then exponentiate once.",
                f"Until then quote exp(loss), not {name}.",
            ),
            Severity.WARNING if in_bits and run.config.get("loss_unit") == "nats" else Severity.INFO,
        )
    if pairs and most < PAIRS and not impossible:
        yield too_few(most, f"records with a loss below {HIGHEST_LOSS:g} beside a perplexity above 1", PAIRS)


def _impossible(run: Run, name: str, perplexities: Series, losses: Series) -> Finding | None:
    """Tell of perplexities below 1 beside losses below 0: probabilities above 1."""
    left, right = shared_steps(perplexities.steps, losses.steps)
    perplexity, loss = perplexities.values[left], losses.values[right]
    finite = np.isfinite(perplexity) & np.isfinite(loss)
    below = finite & (perplexity + perplexities.rounding < 1) & (loss < 0)
    if run.kind in ("reinforcement", "preference") or below.sum() < max(FEWEST_IMPOSSIBLE, MOSTLY * finite.sum()):
        return None
    steps, loss = losses.steps[right][below], loss[below]
    return Finding(
        f"{name} is below 1 in {int(below.sum()):,} of {int(finite.sum()):,} records, beside a loss that goes from {figure(float(loss[0]))} to "
        f"{figure(float(loss[-1]))}: no probability exceeds 1, so the loss has the wrong sign, or is not that of the targets.",
        int(steps[0]),
        int(steps[-1]),
        name,
        {"records": int(below.sum())},
        (
            "Give the criterion what it takes: log probabilities (log_softmax) and the index of each target, not probabilities or raw outputs.",
            "Check the sign: -log p of the target is 0 or more.",
            "What was minimised below 0 has no lowest value: start again once the loss is right.",
        ),
        Severity.WARNING,
    )


def _compare(
    logs: np.ndarray, losses: np.ndarray, rounding: float, tolerance: float
) -> tuple[str, dict[str, float]] | None:
    """Say how the logarithm of the perplexity differs from the loss, with the numbers; None where it does not."""
    difference = float(median(logs - losses))
    allowed = tolerance + rounding + scatter(losses) ** 2
    evidence = {"difference": difference, "allowed": allowed, "records": len(losses)}
    if abs(difference) <= allowed:
        return None
    in_bits = np.abs(logs - losses * LN2) <= 0.01 + rounding + 0.002 * losses
    if in_bits.mean() >= 0.9 and abs(difference) > 3 * allowed:
        return IN_BITS, evidence
    if difference > 0:
        return f"{np.expm1(difference):.1%} more, as when perplexities are averaged over batches", evidence
    return f"{-np.expm1(difference):.1%} less, as when the two are of other steps, tokens or sets", evidence
