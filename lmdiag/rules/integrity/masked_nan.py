import numpy as np

from lmdiag import advice
from lmdiag.finding import Curve, Finding, Findings, NotChecked, Severity, rule
from lmdiag.run import Run, Series
from lmdiag.stats.masked import FLOAT32_ZERO, LEAP, masked_zeros
from lmdiag.stats.windows import median

NOTHING = 0.2  # of the records
# Records; of the norm, all along: where a loss of half a nat falls it is hundreds of times as large
FEW, NO_GRADIENT = 6, 1e-3
WIDE = 9.0  # a margin of rewards whose loss, -ln sigmoid, is 0.0001


@rule(family="integrity", needs=("curve",), severity=Severity.ERROR)
def check(run: Run, _: Curve) -> Findings:
    """A loss of exactly zero stands where the true loss was NaN.

    ## What it looks for
    Training or evaluation losses of exactly 0.0 among ordinary ones, or of 1.1921e-07 (2^-23), which float32 has for 0 where probabilities are clipped just below 1.

    ## How it decides
    | asks for | why that much |
    |---|---|
    | three zeros (two if the first record is one, if the log ends in them after a loss of 0.5 nat and half of the usual, or if no other loss is lower than that; one at the end, right after a loss of ten times the usual) | a single zero may be a batch without targets |
    | fewer than six records: one zero at the end, all losses before it 0.5 nat or more, gradient norms below 0.001 throughout | with such gradients no loss falls to 0 |
    | of evaluations one at the end, after a loss of 0.5 nat and half of the usual; it is a warning | the mean of many batches is not 0 by chance |
    | the last loss before the first zero above 0.05 nat | a loss that was memorised is printed as zero in the end |
    | fewer than three other losses under a tenth of the usual one, or than one for every ten zeros | a loss that reaches zero by itself, such as a hinge, is near it as often; a NaN leaves a gap |

    From 20% of the records on, the run has learned nothing from these steps, and the message says so. Where the gradient norm is exactly 0 at all of these
    steps as well, the batches held no targets: a NaN leaves none such. Below 20% that is a warning.

    ## Why it matters
    The Hugging Face Trainer writes 0 when every loss since the last record was NaN (`logging_nan_inf_filter`), SpeechBrain when
    all of an evaluation were, and keeps the checkpoint as its best. The curve looks wonderful; the model is broken.

    ## False alarms it avoids
    A loss that was memorised down to 0.0004 and is printed as 0.0000; a single zero; hinge and margin losses; one of preferences beside a margin of
    9 or more; reinforcement learning, whose loss starts at zero.

    ## What to try
    Set `logging_nan_inf_filter=False`, use bf16 or fp32 instead of fp16, lower the learning rate. All zeros from the start mean that all
    labels are masked (-100): decode the labels of one batch.

    ## References
    - transformers, `Trainer._inner_training_loop`, where the filter is applied.
    """
    if run.objective == "reinforcement":
        yield NotChecked("a loss of reinforcement learning may be exactly 0")
        return
    losses = {"loss": run["loss"]} if "loss" in run else {}
    losses |= {f"{split}/loss": series for split, series in run.evaluations.items()}
    for metric, series in losses.items():
        masked = masked_zeros(series.values, evaluated=metric != "loss") & ~_all_ranked(run, series)
        if metric == "loss" and not masked.any():
            masked = _unmoved(run, series)
        if masked.any():
            yield _finding(run, metric, series, masked)


def _unmoved(run: Run, losses: Series) -> np.ndarray:
    """Return the zeros that end a log of a few records whose gradients are too small to have moved its loss there."""
    zeros, none = losses.values == 0, np.zeros(len(losses), bool)
    if "grad_norm" not in run or not 2 <= len(losses) < FEW or run.kind == "preference":
        return none
    norms = run["grad_norm"].values
    if len(norms) < len(losses) or not (norms < NO_GRADIENT).all():
        return none
    sure = bool(zeros[-1]) and np.isfinite(losses.values).all() and not zeros[0]
    first = int(np.argmax(zeros))
    return zeros if sure and zeros[first:].all() and losses.values[:first].min() >= LEAP else none


def _all_ranked(run: Run, losses: Series) -> np.ndarray:
    """Tell which records have a margin of rewards beside them whose loss is printed as zero."""
    margins = run.series.get("reward_margin")
    wide = np.empty(0) if margins is None else margins.steps[margins.values >= WIDE]
    return np.isin(losses.steps, wide)


def _finding(run: Run, metric: str, losses: Series, masked: np.ndarray) -> Finding:
    steps, share = losses.steps[masked], float(masked.mean())
    others = losses.values[np.isfinite(losses.values) & ~masked]
    empty = metric == "loss" and _without_gradient(run, steps)
    clipped = bool((losses.values[masked] != 0).any())
    learned = clipped or metric != "loss" or share < NOTHING
    nothing = "" if learned else f" Nothing was learned in these {run.unit}s."
    why = (
        "the gradient norm is 0 there as well: batches without targets"
        if empty
        else "all is predicted with certainty, which is no loss of text"
        if clipped
        else "a masked NaN, or a batch without targets"
    )
    nought = f"exactly 0, or {FLOAT32_ZERO:.4e} (2^-23), its like in float32," if clipped else "exactly 0"
    return Finding(
        f"{'The loss' if metric == 'loss' else metric} is {nought} in {int(masked.sum()):,} of {len(masked):,} "
        f"records, first at {run.place(int(steps[0]))}{',' if empty else ':'} {'and ' if empty else ''}{why}.{nothing}",
        int(steps[0]),
        int(steps[-1]),
        metric,
        {"records": int(masked.sum()), "share": share, "other_losses": float(median(others))},
        (
            "Decode the labels of such a batch: are they all masked (-100)?",
            "Check that the response marker of the chat template occurs in every example, and leave out those whose prompt fills the context.",
        )
        if empty
        else (
            "Decode the labels of one batch: are they all the same, or padding?",
            "Print the logits of one batch: is one of them far above the others, whatever the input?",
        )
        if clipped
        else (
            "Check that the data did not run out: Keras ends an epoch without batches with a loss of 0. Repeat the dataset, or leave out steps_per_epoch."
            if run.format.startswith("keras") or run.step_kind == "epoch"
            else "Set logging_nan_inf_filter=False (Hugging Face) to see the true loss.",
            advice.bf16(run),
            "Decode the labels of one batch: are they all masked (-100)?",
        ),
        Severity.WARNING if (empty and share < NOTHING) or (metric != "loss" and len(steps) == 1) else None,
        steps=tuple(steps[:50].tolist()),
    )


def _without_gradient(run: Run, steps: np.ndarray) -> bool:
    """Tell whether the gradient norm is exactly 0 at all of some steps, and not everywhere."""
    if "grad_norm" not in run:
        return False
    norms = run["grad_norm"]
    there = norms.values[np.isin(norms.steps, steps)]
    return len(there) == len(steps) and not there.any() and bool((norms.finite.values > 0).any())
