"""Supervised fine-tuning that begins where an untrained model does."""

from dataclasses import replace

import numpy as np
import pytest

from lmdiag.finding import NotChecked, Severity
from lmdiag.rules.data.untrained_start import check
from tests.rules.curves import falling, fires, healthy, run, series


def tuned(start, end, n=100, method="sft", **more):
    noise = np.random.default_rng(0).normal(0, 0.02, n)
    loss = end + (start - end) * np.exp(-np.arange(n) / (n / 5)) + noise
    return replace(run(loss=loss, **more), method=method)


def test_labels_that_no_model_expects():
    (found,) = fires(check, tuned(11.2, 6.4))
    assert found.severity == Severity.WARNING
    assert "begins at 11" in found.message
    assert "shifted twice" in found.advice[0]


def test_a_model_trained_from_nothing_that_learns_is_information():
    (found,) = fires(check, tuned(10.8, 2.4))
    assert found.severity == Severity.INFO


@pytest.mark.parametrize(("start", "end"), [(2.6, 1.4), (5.5, 2.0), (13.2, 12.2), (900.0, 300.0)])
def test_silent_where_a_trained_model_or_a_sum_begins(start, end):
    assert fires(check, tuned(start, end)) == []


def test_silent_where_the_log_begins_late():
    late = series(np.linspace(7, 6.5, 50), first=5000)
    assert fires(check, replace(run(loss=late), method="sft")) == []


def test_pre_training_and_other_losses_are_not_judged():
    for made in (tuned(11, 6, method="pretraining"), replace(tuned(11, 6), objective="composite")):
        assert [type(said) for said in check.look(made)] == [NotChecked]
    assert fires(check, healthy()) == fires(check, run(loss=falling(100))) == []
