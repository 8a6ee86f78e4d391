"""RawLog -> Run: the values of a series."""

import gc
import weakref

import numpy as np

from lmdiag.run import Series
from tests.gather.made import run_of


def test_the_decimals_of_small_rates_are_known():
    made = run_of([{"step": i, "loss": 1.0, "lr": rate} for i, rate in enumerate((4e-8, 3e-8, 2e-8, 0.0))])
    assert made["lr"].decimals == 8
    assert run_of([{"step": i, "loss": 2 / 3} for i in range(3)])["loss"].decimals is None


def test_a_gradient_norm_of_minus_one_is_not_finite():
    run = run_of([{"step": s, "loss": 2.0, "grad_norm": -1.0 if s == 2 else 1.5} for s in (1, 2, 3)])
    assert np.isnan(run["grad_norm"].values).tolist() == [False, True, False]
    assert any("gradient norm of -1 (1 times)" in note for note in run.notes)


def test_a_gradient_norm_of_minus_one_throughout_was_not_computed():
    run = run_of([{"step": s, "loss": 3.0 - 0.1 * s, "grad_norm": -1.0} for s in (1, 2, 3)])
    assert "grad_norm" not in run
    assert any("-1 in all 3 records was not computed" in note for note in run.notes)
    blind = run_of([{"step": s, "loss": float("nan"), "grad_norm": -1.0} for s in (1, 2, 3)])
    assert np.isnan(blind["grad_norm"].values).all()


def test_a_series_leaves_memory_with_its_last_user():
    """One that was finite throughout kept itself, and a followed log grew by a copy of its curves at every look."""
    whole = Series(np.arange(9), np.ones(9))
    parted = Series(np.arange(9), np.r_[np.nan, np.ones(8)])
    assert (whole.finite is whole, len(parted.finite.finite)) == (True, 8)
    gone = [weakref.ref(whole), weakref.ref(parted), weakref.ref(parted.finite)]
    gc.disable()
    try:
        del whole, parted
        assert [one() for one in gone] == [None, None, None]
    finally:
        gc.enable()
