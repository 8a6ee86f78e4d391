"""A non-finite gradient norm is a warning, many are an error, and the skips of a loss scaler are information."""

import numpy as np
import pytest

from lmdiag.finding import Severity
from lmdiag.rules.numerics.non_finite_gradient import check
from tests.rules.curves import falling, fires, healthy, run, series


def with_bad(count: int, n: int = 400, **more):
    norms = np.ones(n)
    norms[50 : 50 + 3 * count : 3] = np.inf
    return run(loss=falling(n), grad_norm=norms, **more)


@pytest.mark.parametrize(("count", "severity"), [(3, Severity.INFO), (10, Severity.WARNING), (100, Severity.ERROR)])
def test_severity_follows_the_share(count, severity):
    (found,) = fires(check, with_bad(count))
    assert found.severity == severity
    assert found.first_step == 51
    assert found.evidence["records"] == count


def spoiled(rows, loss: np.ndarray | None = None, n: int = 400):
    norms = np.ones(n)
    norms[rows] = np.inf
    return run(loss=falling(n) if loss is None else loss, grad_norm=norms)


def test_what_a_loss_scaler_does_at_the_start_is_information():
    (found,) = fires(check, spoiled(slice(0, 12)))
    assert found.severity == Severity.INFO
    assert "at the start" in found.message


def test_overflows_are_not_harmless_where_the_loss_is_worse_behind_them_or_unknown():
    rows = [100, 200]
    worse = falling(400)
    worse[200:] += 1
    hole = falling(400)
    hole[200] = np.nan
    assert fires(check, spoiled(rows))[0].severity == Severity.INFO
    assert fires(check, spoiled(rows, worse))[0].severity == Severity.WARNING
    assert fires(check, spoiled(rows, hole))[0].severity == Severity.WARNING
    assert fires(check, run(grad_norm=spoiled(rows)["grad_norm"].values))[0].severity == Severity.WARNING


def test_three_in_a_row_are_not_isolated():
    assert fires(check, spoiled([100, 101]))[0].severity == Severity.INFO
    assert fires(check, spoiled([100, 101, 102]))[0].severity == Severity.WARNING


def test_overflow_at_the_end_is_not_harmless():
    norms = np.ones(400)
    norms[-2:] = np.nan
    (found,) = fires(check, run(loss=falling(400), grad_norm=norms, loss_scale=np.ones(400)))
    assert found.severity == Severity.WARNING


def test_silent_on_finite_norms():
    assert fires(check, healthy(200)) == []


def test_a_single_skipped_step_that_the_schedule_does_not_count_is_information():
    rates = np.linspace(2e-4, 0, 40)
    norms = np.ones(40)
    norms[12] = np.nan
    skipped = np.r_[rates[:12], rates[11:39]]  # the rate stands still at the record of the skipped step
    (found,) = fires(check, run(loss=falling(40), grad_norm=norms, lr=skipped))
    assert found.severity == Severity.INFO
    (found,) = fires(check, run(loss=falling(40), grad_norm=norms, lr=rates))
    assert found.severity == Severity.WARNING


def test_only_a_run_that_did_not_recover_is_to_go_back():
    apart, last = fires(check, spoiled([100, 101, 102]))[0], fires(check, spoiled(slice(300, 400)))[0]
    assert [any("checkpoint" in line for line in found.advice) for found in (apart, last)] == [False, True]


@pytest.mark.parametrize(
    ("end", "norms_end", "severity"),
    [(2.2, 1.0, Severity.WARNING), (3.4, 1.0, Severity.ERROR), (2.2, np.inf, Severity.ERROR)],
)
def test_many_are_a_warning_where_training_and_evaluation_end_at_their_best(end, norms_end, severity):
    """Every fourth step is skipped and the rest train; a worse evaluation, or norms that stay infinite, tell otherwise."""
    norms = np.ones(400)
    norms[3::4], norms[-6:] = np.inf, norms_end
    evaluations = series(np.r_[np.linspace(5, 2.3, 8), end, end], every=40, first=40)
    (found,) = fires(check, run(loss=falling(400), grad_norm=norms, val__loss=evaluations))
    assert found.severity is severity
    assert any("checkpoint" in line for line in found.advice) is (severity is Severity.ERROR)
