import numpy as np

from lmdiag import advice
from lmdiag.finding import Finding, Findings, Severity, rule
from lmdiag.run import Run, Series
from lmdiag.stats.returning import BESIDE, ends_at_best, stands

ISOLATED = 0.02  # share of the records: the steps that were skipped cost the run no more than that
IN_A_ROW = 2
START = 16  # records: a scale of 65,536 is halved to 1 in so many


@rule(family="numerics", needs=("grad_norm",), severity=Severity.WARNING)
def check(run: Run, _: Series, *, error_share: float = 0.2) -> Findings:
    """A gradient norm is NaN or infinite.

    ## What it looks for
    Any gradient norm that was logged as NaN or infinity.

    ## How it decides
    One record is a warning; from `error_share` of the records on, an error, unless finite norms come to the end, and training and evaluation loss have
    fallen and end at their best. Information where they are known to be harmless, which takes all of: under 2% of the
    records, never more than two in a row, none in the last five, and a loss that is finite and stands behind each of them where it stood before (medians of
    five records, four standard errors). Had such a gradient been applied, the weights and all that follows would not be finite: the step was skipped.
    Those at the very start (up to 16, each following on the last) do not count: a loss scaler finds its scale there. So is a single one in a log without losses, if the
    learning rate stood still at this record and moved before and after.

    ## Why it matters
    The optimizer either skipped these steps or wrote NaN into the weights. Some trainers replace the NaN loss of such a step by the
    running mean, so that the loss curve looks clean.

    ## False alarms it avoids
    The skips of a dynamic loss scaler; norms that were not measured.

    ## What to try
    bf16 removes overflow. If the loss is finite at these steps, set `logging_nan_inf_filter=False` in the Hugging Face Trainer to see
    the true loss. Otherwise lower the learning rate and look at the batches of these steps.

    ## References
    - Micikevicius et al. 2018, Mixed precision training, arXiv:1710.03740, section 3.2: dynamic loss scaling.
    """
    norms = run["grad_norm"]
    bad = ~np.isfinite(norms.values)
    if not bad.any():
        return
    share, steps = float(bad.mean()), norms.steps[bad]
    trained = not bad[-BESIDE:].all() and _trained(run)
    many = share >= error_share and not trained
    first = 0 if bad.all() else int(np.argmin(bad))  # records before the first finite one
    later = np.flatnonzero(bad[min(first, START) :]) + min(first, START)
    why = ""
    if bad.sum() == 1 and _skipped(run, int(steps[0])):
        why = ": an isolated overflow, whose step was skipped"
    elif (
        _isolated(bad, later)
        and "loss" in run
        and stands(run["loss"].values, np.searchsorted(run["loss"].steps, steps))
    ):
        why = (
            ", all at the start, where a loss scaler finds its scale"
            if not len(later)
            else (": isolated, and the loss is as before behind " + ("it" if len(steps) == 1 else "each of them"))
        )
    yield Finding(
        f"The gradient norm is not finite in {int(bad.sum()):,} of {len(bad):,} records, "
        f"first at {run.place(int(steps[0]))}{why}.",
        int(steps[0]),
        int(steps[-1]),
        "grad_norm",
        {"records": int(bad.sum()), "share": share},
        _harmless() if why else _advice(run, int(steps[0]), lost=many or (bool(bad[-BESIDE:].any()) and not trained)),
        Severity.INFO if why else Severity.ERROR if many else Severity.WARNING,
        steps=tuple(steps[:50].tolist()),
    )


def _trained(run: Run) -> bool:
    """Tell whether training and evaluation loss agree that the run has gained to its end."""
    if "loss" not in run or run.evaluation is None:
        return False
    return ends_at_best(run["loss"].values) and ends_at_best(run.evaluation[1].values)


def _isolated(bad: np.ndarray, later: np.ndarray) -> bool:
    """Tell whether the records that are not finite, those of the start apart, are few, scattered, and over before the end."""
    if len(later) >= ISOLATED * len(bad) or bad[-BESIDE:].any():
        return False
    return len(later) <= IN_A_ROW or bool((later[IN_A_ROW:] - later[:-IN_A_ROW] > IN_A_ROW).all())


def _skipped(run: Run, step: int) -> bool:
    """Tell whether the learning rate stood still at this step while it moved at the steps beside it, as a schedule
    does that counts only real steps."""
    if "lr" not in run:
        return False
    rates = run["lr"]
    row = int(np.searchsorted(rates.steps, step))
    moves = np.abs(np.diff(rates.values[max(0, row - 3) : row + 3])) > 0
    here = row - max(0, row - 3) - 1
    return 0 < here < len(moves) - 1 and not moves[here] and bool(moves.sum() == len(moves) - 1)


def _harmless() -> tuple[str, ...]:
    return (
        "Nothing to do while they stay so rare.",
        "If they become more frequent, use bf16: it has the range of fp32 and needs no loss scale.",
    )


def _advice(run: Run, step: int, lost: bool) -> tuple[str, ...]:
    """Say what to do; a run that went on with finite gradients need not go back."""
    back = (advice.rewind(run, step),) if lost else ()
    if run.format.startswith("huggingface"):
        hidden = "Set logging_nan_inf_filter=False: by default the Trainer hides the NaN loss of such steps."
        return (advice.bf16(run), hidden, *back)
    return (advice.bf16(run), *back, f"Look at the batch of this {run.unit}.")
