"""What to do next, in sentences with this run's own numbers."""

from __future__ import annotations

import numpy as np

from lmdiag.figures import figure
from lmdiag.run import Run
from lmdiag.stats.windows import quantile


def rewind(run: Run, step: int) -> str:
    """Say from which checkpoint to resume when things went wrong at `step`."""
    saved = run.checkpoint_before(step - 1)
    if saved is not None:
        return f"Resume from the checkpoint saved at {run.place(saved)}."
    return f"Resume from the last checkpoint before {run.place(step)}; save checkpoints more often if there is none."


def lower_lr(run: Run, step: int) -> str:
    """Say which learning rate to try, given the one in force at `step`."""
    lr = run.value_at("lr", step)
    if not lr:
        return f"Try half the peak learning rate{'' if 'lr' in run else ' (the log does not say what it was)'}."
    return f"Lower the learning rate: it was {figure(lr, 3)} at {run.place(step)}; try {figure(lr / 2, 2)}."


def clip(run: Run, step: int) -> str:
    """Say at which norm to clip gradients: the 90th percentile of the norms before `step`."""
    limit = run.config.get("grad_clip")
    norms = run.series.get("grad_norm")
    before = norms.finite.between(run.first_step, step - 1).values if norms is not None else np.empty(0)
    if len(before) < 8:
        return f"Clip the gradient norm{f' below the present limit of {limit}' if limit else ', at 1.0 to begin with'}."
    usual = figure(quantile(before, 0.9), 2)
    if isinstance(limit, int | float) and 0 < limit <= float(usual.replace(",", "")):
        return (
            f"Leave the clipping limit at {limit}: it is already at or below the 90th percentile of the norms before "
            f"{run.place(step)} ({usual})."
        )
    present = f" (the limit was {limit})" if limit else ""
    return f"Clip the gradient norm at {usual}, its 90th percentile before {run.place(step)}{present}."


def keep_best(run: Run, metric: str, step: int, value: float) -> str:
    """Say which checkpoint to keep; a log that names its checkpoints may name none of this step."""
    saved = [event.step for event in run.events if event.kind == "checkpoint_saved"]
    if saved and step not in saved:
        return f"If a checkpoint of {run.place(step)} exists, keep it: {metric} was lowest there ({figure(value)})."
    return f"Keep the checkpoint of {run.place(step)}, where {metric} was lowest ({figure(value)})."


def labels(run: Run) -> str:
    """Say what to look at where a model does not learn what its labels say, and what the uniform guess over its vocabulary costs."""
    model = run.config.get("model")
    vocabulary = model.get("vocab_size") if isinstance(model, dict) else None
    shifted = " (shifted once, not twice)" if run.objective == "causal-lm" else ""
    said = f"Decode inputs and labels of one batch: the labels must fit the inputs{shifted} and not all be masked."
    if isinstance(vocabulary, int | float) and vocabulary > 1 and run.per_token:
        said += f" The uniform guess over {vocabulary:,} tokens costs {float(np.log(vocabulary)):.2f} nats."
    return said
