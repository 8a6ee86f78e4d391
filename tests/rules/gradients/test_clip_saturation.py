"""A limit that clips most steps is information; one far below all norms a warning."""

import numpy as np
import pytest

from lmdiag.finding import NotChecked, Severity
from lmdiag.rules.gradients.clip_saturation import check
from tests.rules.curves import falling, fires, healthy, run


def normed(level: float, n: int = 300, limit: float | None = 1.0, **more):
    norms = level * np.exp(np.random.default_rng(0).normal(0, 0.2, n))
    return run(loss=falling(n), grad_norm=norms, config={"grad_clip": limit} if limit else {}, **more)


def test_a_fine_tune_that_always_clips_is_information():
    (found,) = fires(check, normed(3.0))
    assert (found.severity, found.evidence["share"]) == (Severity.INFO, 1.0)
    assert "raise the limit to 3.9" in found.advice[0]


def test_norms_far_above_the_limit_are_a_warning():
    (found,) = fires(check, normed(80.0))
    assert found.severity is Severity.WARNING


def test_the_logged_fraction_is_enough():
    (found,) = fires(check, normed(3.0, limit=None, clip_frac=np.full(300, 0.5)))
    assert "50% of the steps are clipped" in found.message


def test_norms_logged_after_clipping_are_recognised():
    norms = np.minimum(np.exp(np.random.default_rng(0).normal(0.5, 0.5, 300)), 1.0)
    (found,) = fires(check, run(loss=falling(300), grad_norm=norms))
    assert (found.severity, found.evidence["limit"]) == (Severity.INFO, 1.0)
    assert "before clipping" in found.advice[0]


@pytest.mark.parametrize("level", [0.1, 0.7])
def test_silent_on_exceptions(level):
    assert fires(check, normed(level)) == []


def test_silent_on_constants_and_not_checked_without_a_limit():
    assert fires(check, run(loss=falling(100), grad_norm=np.ones(100), config={"grad_clip": 1.0})) == []
    assert [type(said) for said in check.look(healthy(100))] == [NotChecked]


def test_norms_of_thousands_ask_for_their_reason_not_for_a_limit_of_thousands():
    norms = np.exp(np.random.default_rng(0).normal(np.log(2000), 0.5, 200))
    (found,) = fires(check, run(loss=falling(200), grad_norm=norms, config={"grad_clip": 1.0}))
    assert found.advice[0].startswith("Leave the limit until it is known")
    assert not any(found.changes)
