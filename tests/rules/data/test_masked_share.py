"""The share of tokens that carry loss, from counts per step or cumulative ones."""

import numpy as np
import pytest

from lmdiag.finding import NotChecked, Severity
from lmdiag.rules.data.masked_share import check
from tests.rules.curves import fires, run

TOTAL = 1000.0 * np.arange(1, 51)


@pytest.mark.parametrize(("share", "severity"), [(0.2, Severity.INFO), (0.01, Severity.WARNING)])
@pytest.mark.parametrize("cumulative", [True, False])
def test_severity_follows_the_share(share, severity, cumulative):
    noise = 1 + 0.1 * (-1.0) ** np.arange(50)
    targets = share * TOTAL if cumulative else share * 1000 * noise
    (found,) = fires(check, run(tokens=TOTAL, num_target_tokens=targets))
    assert found.severity is severity
    assert found.evidence["share"] == pytest.approx(share, rel=0.15)


def test_silent_on_a_usual_share():
    assert fires(check, run(tokens=TOTAL, loss_tokens=0.6 * TOTAL)) == []


def test_silent_on_counts_that_cannot_be_compared():
    assert fires(check, run(tokens=TOTAL, loss_tokens=5 * TOTAL)) == []


def test_says_when_targets_are_not_counted():
    (said,) = check.look(run(tokens=TOTAL))
    assert isinstance(said, NotChecked)
