import numpy as np

from lmdiag import advice
from lmdiag.figures import figure
from lmdiag.finding import Advice, Curve, Finding, Findings, Severity, rule
from lmdiag.run import Run, Series
from lmdiag.stats.returning import ends_at_best
from lmdiag.stats.windows import median

BEFORE = 20  # records before the first bad one that are searched for a rising gradient norm
ANNOUNCED = 3.0  # a gradient norm so many times the usual announces that the loss will break
RISEN = 1.2  # and so does a loss
TRAINED, UNTRAINED = (
    3,
    0.8,
)  # records; share of the first evaluation that the next one falls below: training came between
# Share of the records, and finite ones behind the last: the run may have gone on as if nothing were
FEW, BEHIND = 0.02, 10


@rule(family="numerics", needs=("curve",), severity=Severity.ERROR)
def check(run: Run, _: Curve) -> Findings:
    """A loss is NaN or infinite.

    ## What it looks for
    Any training or evaluation loss that was logged as NaN or infinity. A value that was not measured (null, an empty cell)
    is not one. Where all are finite, a line of a printed log that says so, such as "Loss is nan, stopping training", or, as a
    warning, that says it of a gradient.

    ## How it decides
    One value is enough. Training and evaluation losses are reported apart, because an evaluation can be NaN (an empty
    or over-padded set) while training is sound: it is a warning where the training loss and the last evaluation are finite. It is information where the first record alone is NaN, of three or more without gradient norms, an evaluation beside it
    is finite, and the next one a fifth lower: nothing was trained yet. The evidence gives the last finite loss, the learning rate, and by which factor the gradient
    norm rose over the 20 records before.

    ## Why it matters
    After one NaN step the weights are usually NaN as well: nothing after it was trained.

    ## False alarms it avoids
    The word `nan` elsewhere on a line (`number of nan iterations: 0`, `step_avg:nan`), missing values, and speeds that are
    not yet known; NaN in all records between those of the evaluations, as a table has that writes one row for everything.

    ## What to try
    Resume from before the first NaN, unless these are two records at most, under 2%, and the loss is finite behind them and ends at its best: then the
    update was skipped. Where the gradient norm rose before it: a lower learning rate, gradient clipping. Where nothing
    announced it: look at the batch, at divisions and logarithms, at fp16. Of several ranks the log may tell which had it first: look at its data and hardware. NaN from the first record means bad inputs, a log of zero, or the wrong data type. To tell data from optimisation, train the same step again with
    another batch: if it survives, look at the batch.

    ## References
    - Chowdhery et al. 2022, PaLM, arXiv:2204.02311, section 5.1: rewind and skip.
    """
    logged = [run[name] for name in ("loss", "logged loss") if name in run]  # the latter where another was taken for it
    bad = next((series for series in logged if not np.isfinite(series.values).all()), None)
    if bad is not None:
        yield _before_training(run, bad) or _training(run, bad)
    else:
        yield from _said(run)
    for split, losses in run.evaluations.items():
        yield from _evaluation(run, split, losses)


def _before_training(run: Run, losses: Series) -> Finding | None:
    """Tell of one NaN in the first record of a log, beside a finite evaluation that training then improved on: a mean over no batch yet."""
    values, step = losses.values, int(losses.steps[0])
    if run.evaluation_loss is None or not np.isnan(values[0]) or not np.isfinite(values[1:]).all():
        return None
    evaluated = run.evaluation_loss[1]
    if len(values) < TRAINED or len(evaluated) < 2 or evaluated.steps[0] != step or "grad_norm" in run:
        return None
    first, second = (float(value) for value in evaluated.values[:2])
    if not second < UNTRAINED * first:
        return None
    return Finding(
        f"The loss is NaN in the first record alone, beside an evaluation of {figure(first)}, and finite ever after: "
        "that evaluation seems to have come before the first batch, as a sanity check does, and a mean over none is NaN.",
        step,
        step,
        "loss",
        {"records": 1, "share": 1 / len(values)},
        ("Skip the printing of training losses while the trainer only checks the evaluation.",),
        Severity.INFO,
    )


def _training(run: Run, losses: Series) -> Finding:
    bad = ~np.isfinite(losses.values)
    first = int(np.argmax(bad))
    step, last = int(losses.steps[first]), int(losses.steps[bad][-1])
    evidence = {"records": int(bad.sum()), "share": float(bad.mean())}
    if first:
        evidence["last_finite_loss"] = float(losses.values[first - 1])
    lr = run.value_at("lr", step)
    if lr is not None and np.isfinite(lr):
        evidence["lr"] = lr
    growth = _gradient_growth(run, step)
    if growth is not None:
        evidence["gradient_growth"] = growth
    lines: tuple[str, ...] = _advice(run, step, first, growth)
    whose = _whose_loss(run, step, int(bad.sum()))
    if whose:
        lines = (f"Look at the data and the hardware of {whose[1]}.", *lines)
    if _went_on(run, losses, bad):
        lines = tuple(line for line in lines if not isinstance(line, Advice) or "checkpoint" not in line.about)
    return Finding(_message(run, step, bad, evidence, whose[0] if whose else ""), step, last, "loss", evidence, lines)


def _went_on(run: Run, losses: Series, bad: np.ndarray) -> bool:
    """Tell whether the loss is finite behind one or two bad records and falls on, so that the weights were spared."""
    if bad.sum() > 2 or bad.mean() >= FEW or bad[-BEHIND:].any() or not ends_at_best(losses.values[~bad]):
        return False
    return run.evaluation is None or bool(np.isfinite(run.evaluation[1].values[-1:]).all())


def _said(run: Run) -> Findings:
    """Tell what the program said of a loss or a gradient that was not logged as such."""
    norms = run.series.get("grad_norm")
    shown = norms is not None and not np.isfinite(norms.values).all()
    for kind, metric, severity in (("nan", "loss", Severity.ERROR), ("nan_gradient", "grad_norm", Severity.WARNING)):
        said = [event for event in run.events if event.kind == kind]
        if not said or (metric == "grad_norm" and shown):
            continue
        first, last = (run.last_step if event.step is None else event.step for event in (said[0], said[-1]))
        times = f" ({len(said):,} times)" if len(said) > 1 else ""
        message = (
            f'No such {metric} was logged, but the program said at {run.place(first)}{times}: "{said[0].message}".'
        )
        evidence = {"messages": float(len(said))}
        yield Finding(message, first, last, metric, evidence, _advice(run, first, 1, None), severity)


def _message(run: Run, step: int, bad: np.ndarray, evidence: dict[str, float], whose: str) -> str:
    share = f"{int(bad.sum()):,} of {len(bad):,} records{whose}"
    if bad.all():
        return f"The loss is not finite from the first record on, {run.place(step)} ({share})."
    if "last_finite_loss" not in evidence:
        return f"The loss is not finite in {share}, the first one ({run.place(step)}) among them."
    rose = evidence.get("gradient_growth", 0)
    before = f"; the gradient norm rose {figure(rose, 2)}-fold just before" if rose >= ANNOUNCED else ""
    last = figure(evidence["last_finite_loss"])
    if bad.sum() == 1 and not bad[-1]:
        return f"The loss was not finite once, at {run.place(step)}, after {last} ({share}){before}."
    return f"The loss became non-finite at {run.place(step)}, after {last} ({share}){before}."


def _whose_loss(run: Run, step: int, records: int) -> tuple[str, str] | None:
    """Say which of several processes had the first loss that is not finite, and name it; None where the log does not tell."""
    told = [event for event in run.events if event.kind == "broken_rank"]
    first = [event for event in told if event.step == step]
    if not first:
        return None
    named = " and ".join(str(event.fields["whose"]) for event in first)
    alone = len(told) == 1 and told[0].fields.get("records") == records
    return f", on {named} alone" if alone else f", on {named} first", named


def _gradient_growth(run: Run, step: int) -> float | None:
    if "grad_norm" not in run:
        return None
    norms = run["grad_norm"].finite.between(run.first_step, step).values[-BEFORE:]
    if len(norms) < 4:
        return None
    usual = float(median(norms))
    return float(norms[-4:].max() / usual) if usual > 0 else None


def _advice(run: Run, step: int, first: int, growth: float | None) -> tuple[str, ...]:
    if first == 0:
        return (
            "Check one batch by hand: token ids below the vocabulary size, labels not all masked, no NaN in the "
            "inputs.",
            "Run one step in fp32 with torch.autograd.set_detect_anomaly(True): it names the operation.",
        )
    fp16 = (advice.bf16(run),) if _in_fp16(run) else ()
    look = f"Look at the batch of this {run.unit}, at divisions and logarithms, at the hardware."
    if growth is not None and growth < ANNOUNCED:
        useless = "A lower learning rate will not help: the gradient norm was as usual until then."
        return advice.rewind(run, step), *fp16, look, useless
    if growth is None and not _risen(run, step):
        told = "Log the gradient norm at every step: it tells whether the optimizer announced it."
        return advice.rewind(run, step), *fp16, look, told
    return *advice.back_and_calmer(run, step), *fp16, look


def _in_fp16(run: Run) -> bool:
    precision = str(run.config.get("precision", "")).lower()
    return "loss_scale" in run or ("16" in precision and "b" not in precision)


def _risen(run: Run, step: int) -> bool:
    """Tell whether the loss itself had risen before it broke, where no gradient norm tells."""
    losses = run["loss"].finite.between(run.first_step, step).values[-BEFORE:] if "loss" in run else np.empty(0)
    return len(losses) >= 8 and float(losses[-4:].max()) >= RISEN * float(median(losses))


def _evaluation(run: Run, split: str, losses: Series) -> Findings:
    bad = ~np.isfinite(losses.values)
    if not bad.any():
        return
    first, last = int(losses.steps[bad][0]), int(losses.steps[bad][-1])
    yield Finding(
        f"The loss on {split} is not finite in {int(bad.sum()):,} of {len(bad):,} evaluations, "
        f"first at {run.place(first)}.",
        first,
        last,
        f"{split}/loss",
        {"records": int(bad.sum()), "share": float(bad.mean())},
        (
            f"{_whose(run)}Look for an empty batch, or one with all labels masked, in the evaluation set.",
            "Average the loss over tokens, not over batches: a batch without targets is 0/0.",
        ),
        Severity.WARNING if not bad[-1] and _training_is_finite(run) else None,
    )


def _training_is_finite(run: Run) -> bool:
    return "loss" in run and bool(np.isfinite(run["loss"].values).all())


def _whose(run: Run) -> str:
    """Say what the training loss tells of the model."""
    if "loss" not in run:
        return ""
    return (
        "The training loss is finite, so the model is sound. "
        if _training_is_finite(run)
        else "Cure the training loss first. "
    )
