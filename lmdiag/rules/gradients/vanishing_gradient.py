import numpy as np

from lmdiag.figures import figure, percent
from lmdiag.finding import NO_NORM, Finding, Findings, NotChecked, Severity, rule, too_few
from lmdiag.run import Run, Series
from lmdiag.stats.limits import LEARNS, NEAR_UNIFORM
from lmdiag.stats.noise import median_difference_error, scatter, smoothing
from lmdiag.stats.trend import mann_kendall, total_gain
from lmdiag.stats.windows import median

DEAD_AT_UNIFORM = 0.05  # near the uniform guess the gradient of a connected model is of order one
AT_ONCE, STAYS_WITHIN = 0.01, 10.0  # of the norm just before; times the norm at the end, from there on
LEAST_REST, GAINED, MOVED = 0.1, 0.01, 0.1  # of the records, behind the fall; of the loss: gained there, moved to there
ERRORS, MOVE_ERRORS = 2.0, 3.0  # standard errors of that gain, and of that move
SURE_GAIN = 0.05  # of the loss: a gain, however noisy it is

WHERE_IT_DIES = "Check the initialisation and the residual path; log the norm of each layer to see where it dies."
ADVICE_IF_NONE = (
    "List the parameters without gradient: one backward pass shows which are frozen, detached, or not in the graph.",
    "With adapters and gradient checkpointing, call enable_input_require_grads().",
    WHERE_IT_DIES,
)
ADVICE_IF_SMALL = (
    "Hand the logits to the loss as they are: a softmax before a cross-entropy, which has its own, leaves next to no gradient.",
    WHERE_IT_DIES,
    "Compute one batch in fp32, and without a mask: saturated activations and masked labels pass little back.",
)


@rule(family="gradients", needs=("grad_norm",), severity=Severity.WARNING, min_points=8)
def check(run: Run, norms: Series, *, fallen_to: float = 0.05, zero_share: float = 0.2) -> Findings:
    """Gradient norm is zero, or vanishes while the loss is still high.

    ## What it looks for
    Gradient norms of exactly zero, or norms that fall to nothing although there is much left to learn.

    ## How it decides
    Exact zeros in `zero_share` of the records (an error). Or: the last third is below `fallen_to` of the first fifth while the loss
    stays above 80% of its start. Or: within a few records (7, or 2% of them) it falls below 0.01 of what it was and stays there for the last tenth of the records
    or longer, while the loss stands where it stood (10%, or three standard errors) and gains less than 1%, or less than two standard errors and 5% (an error). Or: at a loss above 8 nats, near the uniform guess, the last third is below 0.05 in absolute terms.

    ## Why it matters
    Without a gradient nothing is learned, whatever the learning rate.

    ## False alarms it avoids
    The natural decline of the norm as the loss falls; a norm of 0 in every record while the loss clearly falls, which was not
    computed; the first zeros at a rate of 0, of steps that a loss scaler skips; reinforcement learning, where equal rewards give no gradient.

    ## What to try
    Look for frozen or detached parameters, a softmax applied twice, saturated activations, an initialisation too small for the depth, a missing residual path. With adapters
    and gradient checkpointing, call `enable_input_require_grads()`.

    ## References
    - Glorot and Bengio 2010, Understanding the difficulty of training deep feedforward neural networks.
    """
    if run.kind == "reinforcement":
        yield NotChecked("groups of equal rewards have no gradient: no-group-signal and frozen-policy judge it")
        return
    if len(norms) < 8:
        yield too_few(len(norms), "finite gradient norms", 8)
        return
    norms = _begun(run, norms)
    zeros = norms.values == 0
    if zeros.all() and run.curve is not None and mann_kendall(run.curve[1].finite.values) < LEARNS:
        yield NO_NORM  # without a gradient the loss would not fall
        return
    if zeros.mean() >= zero_share:
        step = int(norms.steps[np.argmax(zeros)])
        often = (
            f"every {'record' if len(norms) == len(run['grad_norm']) else 'finite record'}"
            if zeros.all()
            else f"{percent(float(zeros.mean()))} of the records, first at {run.place(step)}"
        )
        message = f"The gradient norm is exactly zero in {often}."
        yield _finding(message, step, int(norms.steps[-1]), {"zero_share": float(zeros.mean())}, Severity.ERROR)
        return
    fell = _fell_at_once(run, norms)
    if fell is not None:
        step, before, after, level = fell
        message = (
            f"The gradient norm fell from {figure(before, 3)} to {figure(after, 3)} at {run.place(step)} and has stayed there, and the "
            f"loss has gained next to nothing since: it stands at {figure(level)}."
        )
        evidence = {"before": before, "after": after, "loss": level}
        yield _finding(message, step, int(norms.steps[-1]), evidence, Severity.ERROR)
        return
    early, late = norms.values[: max(1, len(norms) // 5)], norms.values[-(len(norms) // 3) :]
    before, after = float(median(early)), float(median(late))
    kept = _loss_kept(run)
    if kept is None:
        yield NotChecked("fewer than four losses, or a start of the loss that is not above 0")
        return
    share, level = kept
    if (after < fallen_to * before and share > 0.8) or (level >= NEAR_UNIFORM and after < DEAD_AT_UNIFORM):
        low = np.flatnonzero(norms.values <= max(2 * after, fallen_to * before))
        step = int(norms.steps[low[0]]) if len(low) else int(norms.steps[0])
        went = f"fell from a median of {figure(before, 3)} to one of" if after < before else "has a median of"
        message = f"The gradient norm {went} {figure(after, 3)}, from {run.place(step)} on, while the loss still has one of {figure(level)}."
        evidence = {"early": before, "late": after, "loss": level}
        yield _finding(message, step, int(norms.steps[-1]), evidence, Severity.WARNING, ADVICE_IF_SMALL)


def _begun(run: Run, norms: Series) -> Series:
    """Return the norms without the first zeros at a rate of 0, where others follow: a loss scaler skips its first steps."""
    first = int(np.argmax(norms.values > 0))
    if not first or "lr" not in run or any(run.value_at("lr", int(step)) != 0 for step in norms.steps[:first]):
        return norms
    return norms.at(slice(first, None))


def _fell_at_once(run: Run, norms: Series) -> tuple[int, float, float, float] | None:
    """Return the step at which the norm fell for good, the norm before and behind it, and the loss since; None where none did, or the loss falls on."""
    n = len(norms)
    width = max(7, n // 50) | 1  # odd, so that each median is one of the values
    end = float(median(norms.values[-width:]))
    above = np.flatnonzero(norms.values >= STAYS_WITHIN * end)
    at = int(above[-1]) + 1 if len(above) else 0
    if at < width or n - at < max(width, LEAST_REST * n) or run.curve is None:
        return None
    before, after = float(median(norms.values[at - width : at])), float(median(norms.values[at : at + width]))
    losses, step = run.curve[1].finite, int(norms.steps[at])
    row = int(np.searchsorted(losses.steps, step))
    stood, rest = losses.values[max(0, row - width) : row], losses.values[row:]
    if after >= AT_ONCE * before or not len(stood) or len(rest) < width:
        return None
    level = float(median(rest))
    gain, error = total_gain(rest, skip=0.0)
    move_error = median_difference_error(scatter(rest), smoothing(rest), len(stood), len(rest))
    moved = abs(level - float(median(stood))) > max(MOVED * level, MOVE_ERRORS * move_error)
    stands = not moved and gain < max(GAINED * level, min(ERRORS * error, SURE_GAIN * level))
    return (step, before, after, level) if stands else None


def _loss_kept(run: Run) -> tuple[float, float] | None:
    """Return which share of its start the loss still has, and its level at the end."""
    if run.curve is None:
        return None
    losses = run.curve[1].finite.values
    if len(losses) < 4:
        return None
    start, end = float(median(losses[: max(1, len(losses) // 10)])), float(median(losses[-(len(losses) // 4) :]))
    return (end / start, end) if start > 0 else None


def _finding(
    message: str,
    first: int,
    last: int,
    evidence: dict[str, float],
    severity: Severity,
    advice: tuple[str, ...] = ADVICE_IF_NONE,
) -> Finding:
    return Finding(message, first, last, "grad_norm", evidence, advice, severity)
