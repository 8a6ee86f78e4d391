"""What to do next, in sentences with this run's own numbers."""

from __future__ import annotations

import numpy as np

from lmdiag.run import Run
from lmdiag.stats.windows import quantile


def rewind(run: Run, step: int) -> str:
    """Say from which checkpoint to resume when things went wrong at `step`."""
    saved = run.checkpoint_before(step - 1)
    if saved is not None:
        return f"Resume from the checkpoint saved at step {saved:,}."
    return f"Resume from the last checkpoint before step {step:,}; save checkpoints more often if there is none."


def lower_lr(run: Run, step: int, factor: float = 0.5) -> str:
    """Say which learning rate to try, given the one in force at `step`."""
    lr = run.value_at("lr", step)
    if not lr:
        return f"Try {factor:g} times the peak learning rate (the log does not say which it was)."
    return f"Lower the learning rate: it was {lr:.3g} at step {step:,}; try {lr * factor:.2g}."


def clip(run: Run, step: int) -> str:
    """Say at which norm to clip gradients: the 90th percentile of the norms before `step`."""
    limit = run.config.get("grad_clip")
    norms = run.series.get("grad_norm")
    before = norms.finite.between(run.first_step, step - 1).values if norms is not None else np.empty(0)
    if len(before) < 8:
        return (
            "Clip the gradient norm, at 1.0 to begin with."
            if not limit
            else f"Clip below the present limit of {limit}."
        )
    usual = quantile(before, 0.9)
    present = f" instead of {limit}" if limit else ""
    return f"Clip the gradient norm at {usual:.2g}, its 90th percentile before step {step:,}{present}."


def keep_best(metric: str, step: int, value: float) -> str:
    """Say which checkpoint to keep."""
    return f"Keep the checkpoint of step {step:,}, where {metric} was lowest ({value:.4g})."
