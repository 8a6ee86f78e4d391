"""How fast to learn, and when: the learning rate of each step."""

from __future__ import annotations

import math
from typing import Any


def learning_rate(step: int, settings: Any) -> float:
    """Return the learning rate of the update that completes `step`: a linear warm-up, then the schedule.

    `wsd` (warm-up, stable, decay) keeps the peak and falls linearly over the last fifth.
    """
    peak, floor = settings.lr, settings.lr * settings.min_lr_ratio
    # Adam's first updates rest on a handful of gradients and are as large as any: begin gently
    if step <= settings.warmup_steps:
        return peak * step / settings.warmup_steps
    done = (step - settings.warmup_steps) / max(settings.steps - settings.warmup_steps, 1)
    share = {  # of the way from peak to floor
        "constant": 0.0,
        "linear": done,
        "cosine": 0.5 * (1 - math.cos(math.pi * done)),
        "wsd": max(0.0, (done - 0.8) / 0.2),
    }[settings.schedule]
    return peak + (floor - peak) * share
