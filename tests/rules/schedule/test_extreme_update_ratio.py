"""Updates far from a thousandth of the weights are information, absurd ones a warning."""

import numpy as np
import pytest

from lmdiag.finding import NotChecked, Severity
from lmdiag.rules.schedule.extreme_update_ratio import check
from tests.rules.curves import cosine_lr, falling, fires, healthy, run


def updated(ratio: float, n: int = 100):
    return run(loss=falling(n), lr=cosine_lr(n), update_ratio=ratio * cosine_lr(n, 1.0))


@pytest.mark.parametrize(
    ("ratio", "severity"),
    [(0.3, Severity.WARNING), (0.06, Severity.INFO), (5e-6, Severity.INFO), (3e-7, Severity.WARNING)],
)
def test_severity_follows_the_ratio(ratio, severity):
    (found,) = fires(check, updated(ratio))
    assert found.severity is severity


def test_the_ratio_is_computed_from_the_norms():
    made = run(loss=falling(100), update_norm=np.full(100, 10.0), param_norm=np.full(100, 20.0))
    (found,) = fires(check, made)
    assert (found.metric, found.evidence["update_ratio"]) == ("update_norm", 0.5)


@pytest.mark.parametrize("ratio", [1e-4, 1e-3, 0.015])
def test_silent_on_usual_ratios(ratio):
    assert fires(check, updated(ratio)) == []


def test_not_checked_without_ratios_or_with_too_few():
    assert [type(said) for said in check.look(healthy(100))] == [NotChecked]
    assert [type(said) for said in check.look(updated(0.5, n=4))] == [NotChecked]
