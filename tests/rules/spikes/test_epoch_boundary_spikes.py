"""Spikes at the ends of epochs are told from spikes elsewhere."""

import numpy as np
import pytest

from lmdiag.finding import Severity
from lmdiag.rules.spikes.epoch_boundary_spikes import check
from tests.rules.curves import falling, fires, run


def epochs(*at: int, n: int = 800, per_epoch: int = 100, factor: float = 1.2):
    loss = falling(n, noise=0.02)
    loss[list(at)] *= factor
    return run(loss=loss, epoch=np.arange(1, n + 1) / per_epoch)


@pytest.mark.parametrize(("factor", "severity"), [(1.2, Severity.INFO), (1.6, Severity.WARNING)])
def test_fires_at_the_ends(factor, severity):
    (found,) = fires(check, epochs(199, 299, 399, 499, 599, factor=factor))
    assert found.severity is severity
    assert found.steps == (200, 300, 400, 500, 600)


def test_where_most_epochs_end_without_one_it_is_information():
    (found,) = fires(check, epochs(199, 499, 899, 1299, n=1600, factor=2.0))
    assert found.severity is Severity.INFO


def test_silent_when_spikes_fall_anywhere():
    assert fires(check, epochs(199, 233, 299, 341, 399, 455, 499, 570)) == []


def test_silent_with_few_spikes_or_short_epochs():
    assert fires(check, epochs(199, 299, 399)) == []
    assert fires(check, epochs(199, 299, 399, 499, per_epoch=5)) == []


def test_silent_on_healthy_epochs():
    for n in (40, 800, 4000):
        assert fires(check, epochs(n=n, per_epoch=n // 5)) == []


def counted(*at: int, n: int = 800, per_epoch: int = 100):
    loss = falling(n, noise=0.02)
    loss[list(at)] *= 1.6
    return run(loss=loss, epoch=1 + np.arange(n) // per_epoch)


def test_a_counter_of_whole_epochs_tells_where_they_end():
    assert fires(check, counted(130, 233, 341, 455, 570, 668)) == []
    (found,) = fires(check, counted(199, 299, 399, 499, 599))
    assert found.steps == (200, 300, 400, 500, 600)
    assert found.evidence["epochs"] == 7.99


def test_the_last_epoch_of_a_counter_is_as_long_as_the_others():
    assert fires(check, counted(*range(720, 760, 8), n=770)) == []
