import numpy as np

from lmdiag import advice
from lmdiag.finding import Finding, Findings, Severity, rule
from lmdiag.run import Run, Series

ISOLATED = 0.01  # share of records that an fp16 loss scaler may skip while it searches for its scale


@rule(family="numerics", needs=("grad_norm",), severity=Severity.WARNING)
def check(run: Run, _: Series, *, error_share: float = 0.2) -> Findings:
    """A gradient norm is NaN or infinite.

    ## What it looks for
    Any gradient norm that was logged as NaN or infinity.

    ## How it decides
    One record is a warning; from `error_share` of the records on, an error. When the log shows a loss scale (fp16), isolated
    overflows (under 1% of the records, not at the end) are how the scaler finds its scale: info. So is a single one in a log without a loss scale, if the
    learning rate stood still at this record and moved before and after: the step was skipped.

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
    tail = bad[-max(2, len(bad) // 20) :].any()
    scaler = "loss_scale" in run and share < ISOLATED and not tail
    skipped = bad.sum() == 1 and _skipped(run, int(steps[0]))
    one, many = (
        ": an isolated overflow, whose step was skipped",
        ": isolated overflows, which the fp16 loss scaler skips",
    )
    why = "" if not (scaler or skipped) else one if bad.sum() == 1 else many
    yield Finding(
        f"The gradient norm is not finite in {int(bad.sum()):,} of {len(bad):,} records, "
        f"first at {run.place(int(steps[0]))}{why}.",
        int(steps[0]),
        int(steps[-1]),
        "grad_norm",
        {"records": int(bad.sum()), "share": share},
        _advice(run, int(steps[0])),
        Severity.INFO if why else Severity.ERROR if share >= error_share else Severity.WARNING,
        steps=tuple(steps[:50].tolist()),
    )


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


def _advice(run: Run, step: int) -> tuple[str, ...]:
    first = "Use bf16: it has the range of fp32 and needs no loss scale."
    if run.format.startswith("huggingface"):
        return (
            first,
            "Set logging_nan_inf_filter=False: by default the Trainer hides the NaN loss of such steps.",
            advice.rewind(run, step),
        )
    return (first, advice.rewind(run, step), advice.lower_lr(run, step))
