"""A finished run from scratch at its peak rate is told what a decay would gain."""

import numpy as np
import pytest

from lmdiag.finding import NotChecked, Severity
from lmdiag.rules.schedule.no_decay import check
from tests.rules.curves import cosine_lr, falling, fires, run

CONSTANT = np.r_[np.linspace(0, 1e-3, 20), np.full(380, 1e-3)]


def made(lr=CONSTANT, planned: int | None = 400, start: float = 10.8):
    return run(loss=falling(400, start=start), lr=lr, config={"max_steps": planned} if planned else {})


def test_fires_with_the_length_of_a_decay():
    (found,) = fires(check, made())
    assert (found.severity or Severity.INFO) is Severity.INFO
    assert "39 to 78 steps" in found.advice[0]


@pytest.mark.parametrize("other", [made(cosine_lr(400)), made(planned=4000), made(start=4.0)])
def test_silent_on_decayed_unfinished_and_fine_tuned_runs(other):
    assert fires(check, other) == []


def test_not_checked_without_a_plan():
    assert [type(said) for said in check.look(made(planned=None))] == [NotChecked]
