import numpy as np

from lmdiag.figures import figure
from lmdiag.finding import Curve, Finding, Findings, NotChecked, Severity, rule, too_few
from lmdiag.run import Run
from lmdiag.stats.noise import scatter


@rule(family="generalization", needs=("evaluation",), severity=Severity.INFO, min_points=3)
def check(run: Run, evaluation: Curve, *, worse: float = 0.005) -> Findings:
    """No checkpoint was saved near the best evaluation.

    ## What it looks for
    A best evaluation at a step for which the log names no checkpoint, while it names others.

    ## How it decides
    For every saved checkpoint the evaluation of its step, or the one before it, is looked up. The best of them is at least `worse` (0.5%) and one
    standard deviation of the evaluations above the best evaluation.

    ## Why it matters
    The best model of the run no longer exists.

    ## False alarms it avoids
    Logs that do not name their checkpoints; differences within the noise; runs that go on (the last checkpoint may still come).

    ## What to try
    Save at the steps of the evaluations and keep the best one, whatever else is deleted.

    ## References
    - Hugging Face Transformers, `TrainingArguments(load_best_model_at_end=True)`.
    """
    metric, losses = evaluation
    saved = sorted({e.step for e in run.events if e.kind == "checkpoint_saved" and e.step is not None})
    if len(losses) < 3:
        yield too_few(len(losses), "finite evaluations", 3)
        return
    if not saved:
        yield NotChecked("the log names no checkpoint")
        return
    best = int(np.argmin(losses.values))
    step, lowest = int(losses.steps[best]), float(losses.values[best])
    rows = np.searchsorted(losses.steps, saved, side="right") - 1
    reached = [(float(losses.values[row]), at, int(losses.steps[row])) for row, at in zip(rows, saved) if row >= 0]
    if not reached:
        yield NotChecked("the log names no checkpoint after the first evaluation")
        return
    value, nearest, evaluated = min(reached)
    if value - lowest < max(worse * abs(lowest), scatter(losses.values)):
        return
    yield Finding(
        f"{metric} was best at {run.place(step)} ({figure(lowest)}), where no checkpoint was saved; the best saved "
        f"one, of {run.place(nearest)}, has {figure(value)}{'' if evaluated == nearest else f', evaluated at {run.place(evaluated)}'}.",
        step,
        step,
        metric,
        {"best": lowest, "best_saved": value, "saved_step": nearest},
        (
            f"Use the checkpoint of {run.place(nearest)} for now.",
            "Save a checkpoint at each evaluation, and keep the best.",
        ),
    )
