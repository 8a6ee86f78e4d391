"""A finding of a growing log is said once it has stood, and what no record can take back at once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmdiag.finding import Finding, keys
from lmdiag.run import Run, Series
from lmdiag.watching.settled import Settled, beginning, earlier


def finding(family="divergence", first=50, rule="divergence"):
    return Finding("…", first, 60, rule=rule, family=family)


def test_a_finding_is_held_until_the_log_has_grown():
    settled = Settled()
    assert [len(settled.after(records, [finding()])) for records in (100, 105, 114, 115, 116)] == [0, 0, 0, 1, 1]


def test_a_finding_that_goes_away_waits_anew():
    settled = Settled()
    settled.after(100, [finding()])
    assert not settled.after(105, [])
    assert not settled.after(115, [finding()])
    assert settled.after(133, [finding()])


@pytest.mark.parametrize("family", ["numerics", "integrity"])
def test_what_is_certain_is_said_at_once(family):
    assert len(Settled().after(10, [finding(family)])) == 1


@pytest.mark.parametrize("rule", ["flat-reward", "flat-margin", "accuracy-at-half"])
def test_what_has_not_come_yet_is_missed_when_it_is_late(rule):
    settled = Settled()
    told = [len(settled.after(records, [finding("reinforcement", 1, rule)])) for records in (20, 60, 99, 100)]
    assert told == [0, 0, 0, 1]


def test_a_second_finding_of_a_rule_is_another_one():
    assert [key[2] for key in keys([finding(first=70), finding(first=50), finding(rule="other")])] == [1, 0, 0]
    settled = Settled()
    settled.after(100, [finding()])
    assert len(settled.after(120, [finding(), finding(first=115)])) == 1


@given(st.integers(1, 10**6))
def test_what_was_there_early_enough_stands(records):
    settled = Settled()
    settled.after(earlier(records), [finding()])
    assert bool(settled.after(records, [finding()])) == (earlier(records) + 3 <= records)


def test_the_beginning_of_a_run_holds_nothing_of_what_follows():
    steps = np.arange(1, 101)
    run = Run("a", {"loss": Series(steps, 1.0 / steps), "val/loss": Series(steps[49::50], np.ones(2))})
    begun = beginning(run, 40)
    assert begun["loss"].steps.tolist() == list(range(1, 41))
    assert "val/loss" not in begun
