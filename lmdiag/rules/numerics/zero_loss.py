import numpy as np

from lmdiag import advice
from lmdiag.beginning import holds_start
from lmdiag.finding import SHAPELESS, Finding, Findings, NotChecked, Severity, rule, too_few
from lmdiag.run import Run, Series
from lmdiag.stats.masked import masked_zeros

ZEROS, MOSTLY = 0.9, 0.5
FEW, MANY = 2, 5  # zeros that are the first records of the run, and those that need not be
KNOWN = 0.95  # accuracy beside which a loss may be rounded to 0


@rule(family="numerics", needs=("loss",), severity=Severity.ERROR, min_points=FEW)
def check(run: Run, losses: Series) -> Findings:
    """Loss is exactly zero from the first record on.

    ## What it looks for
    A training loss of 0.0 in all records, or nearly all, from the start.

    ## How it decides
    The first record is exactly zero, and so are 90% of five or more; of two to four all are, in a log that shows by its steps, or by fractions of a pass, that they are the first of the run: no model
    knows its data before it has seen it. It is information where an evaluation loss falls: then the model learns and
    only the logged number is wrong. It is a warning where most gradient norms of these records are above 0: such batches hold targets, and only what is logged has no meaning;
    two to four such records, which the loss of a policy may begin with, are not judged. Where most gradient norms of these records are not finite, the zeros stand for NaN. Zeros among ordinary losses are `masked-nan`.

    ## Why it matters
    Mostly no target is left in the batches: every label is masked, and nothing is learned.

    ## False alarms it avoids
    Reinforcement learning, whose loss starts at zero; losses that were memorised to zero later; a few zeros beside an accuracy of 0.95 or more, or in an excerpt of records
    that nothing counts.

    ## What to try
    Decode the labels of one batch. Chat templates that do not match the response marker mask everything with -100; so does a context shorter than the
    prompt. Or the program has the loss and does not count it, as gensim's FastText does.

    ## References
    - PyTorch, `torch.nn.CrossEntropyLoss`, `ignore_index`.
    """
    if run.objective in SHAPELESS:
        yield NotChecked(f"a loss {SHAPELESS[run.objective]} may be exactly 0")
        return
    zeros = losses.values == 0
    if len(losses) < MANY and not (len(losses) >= FEW and zeros.all() and _is_the_start(run, losses)):
        yield too_few(len(losses), "finite values of the loss", MANY)
        return
    if not zeros[0] or zeros.mean() < ZEROS or masked_zeros(losses.values).any():
        return
    learning = run.evaluation is not None and _falls(run.evaluation[1].finite.values)
    norms = _norms(run, losses.steps[zeros])
    if not learning and _mostly(np.isfinite(norms) & (norms > 0)):
        if len(losses) >= MANY:
            yield _beside_gradients(losses.steps[zeros], len(losses))
        return
    hidden = not learning and _mostly(~np.isfinite(norms))
    why = "the batches hold no targets, or the program does not count its loss"
    if hidden:
        why = "the gradient norm is not finite there, so that the true loss is NaN"
    yield Finding(
        f"The loss is exactly 0 in {int(zeros.sum()):,} of {len(zeros):,} records, from the first on"
        + (", although the evaluation loss falls: the wrong number is logged." if learning else f": {why}."),
        int(losses.steps[0]),
        int(losses.steps[zeros][-1]),
        "loss",
        {"records": int(zeros.sum()), "share": float(zeros.mean())},
        (
            "Set logging_nan_inf_filter=False (Hugging Face) to see the true loss.",
            "Decode the labels of one batch: where all are masked (-100), the mean over none of them is 0/0.",
            advice.bf16(run),
        )
        if hidden
        else (
            "Decode the labels of one batch: are they all masked (-100)?",
            "Check that the response marker of the chat template occurs in the data, and that the context is longer "
            "than the prompts.",
        ),
        Severity.INFO if learning else Severity.ERROR,
    )


def _beside_gradients(steps: np.ndarray, records: int) -> Finding:
    return Finding(
        f"The loss is exactly 0 in {len(steps):,} of {records:,} records, from the first on, although the gradient norm is above 0: the logged loss does not show whether the model learns.",
        int(steps[0]),
        int(steps[-1]),
        "loss",
        {"records": len(steps), "share": len(steps) / records},
        ("Judge the run by an evaluation, or by its reward if it trains a policy.",),
        Severity.WARNING,
    )


def _is_the_start(run: Run, losses: Series) -> bool:
    """Tell whether a few records are surely the first of a run whose answers are not known yet."""
    told = run["epoch"].finite.values if "epoch" in run else np.empty(0)
    counted = run.step_kind != "record" or (told % 1).any()
    scores = (run[name].finite.values for name in run if name.rpartition("/")[2] == "accuracy")
    return bool(counted) and holds_start(run, losses) and not any((values >= KNOWN).any() for values in scores)


def _norms(run: Run, steps: np.ndarray) -> np.ndarray:
    """Return the gradient norms of some steps."""
    if "grad_norm" not in run:
        return np.empty(0)
    return run["grad_norm"].values[np.isin(run["grad_norm"].steps, steps)]


def _mostly(told: np.ndarray) -> bool:
    return len(told) > 0 and bool(told.mean() > MOSTLY)


def _falls(losses: np.ndarray) -> bool:
    return len(losses) >= 2 and bool(losses.min() < 0.95 * losses[0])
