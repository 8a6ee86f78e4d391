"""Advice fits the run: no limit is to be lowered to itself, and no checkpoint is kept that the log does not name."""

import numpy as np
import pytest

from lmdiag import advice
from lmdiag.run import Event, Run
from tests.rules.curves import run


@pytest.mark.parametrize("limit", [0.25, 1, 2.0])
def test_a_limit_at_or_below_the_usual_norm_is_left(limit):
    said = advice.clip(run(grad_norm=np.full(100, 2.0), config={"grad_clip": limit}), 50)
    assert said == (
        f"Leave the clipping limit at {limit}: it is already at or below the 90th percentile of the norms before "
        "step 50 (2)."
    )


@pytest.mark.parametrize(("limit", "present"), [(0, ""), (None, ""), (5.0, " (the limit was 5.0)")])
def test_a_limit_above_the_usual_norm_is_to_be_lowered(limit, present):
    said = advice.clip(run(grad_norm=np.full(100, 2.0), config={"grad_clip": limit}), 50)
    assert said == f"Clip the gradient norm at 2, its 90th percentile before step 50{present}."


@pytest.mark.parametrize(
    ("saved", "words"),
    [
        ((), "Keep the checkpoint of step 25, where val/loss was lowest (3.279)."),
        ((25, 50), "Keep the checkpoint of step 25, where val/loss was lowest (3.279)."),
        ((30, 60), "If a checkpoint of step 25 exists, keep it: val/loss was lowest there (3.279)."),
    ],
)
def test_a_checkpoint_that_the_log_does_not_name_may_not_exist(saved, words):
    made = Run("a", {}, events=tuple(Event("checkpoint_saved", step) for step in saved))
    assert advice.keep_best(made, "val/loss", 25, 3.279) == words
