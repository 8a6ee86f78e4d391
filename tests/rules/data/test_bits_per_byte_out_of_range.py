"""Bits per byte of text lie between a half and eight."""

import numpy as np
import pytest

from lmdiag.finding import Severity
from lmdiag.rules.data.bits_per_byte_out_of_range import check
from tests.rules.curves import falling, fires, healthy, run, series


def logged(level: float):
    return run(
        loss=falling(500), val__loss=series(np.full(5, 3.0)), val__bpb=series(np.full(5, level), every=100, first=100)
    )


@pytest.mark.parametrize(
    ("level", "severity"), [(0.4, Severity.INFO), (0.1, Severity.WARNING), (12.0, Severity.WARNING)]
)
def test_severity_follows_the_level(level, severity):
    (found,) = fires(check, logged(level))
    assert found.severity is severity
    assert found.metric == "val/bpb"


def test_computed_from_the_bytes_per_token():
    made = run(
        loss=falling(500), val__loss=series(np.full(5, 0.4), every=100, first=100), config={"bytes_per_token": 4.0}
    )
    (found,) = fires(check, made)
    assert found.evidence["bits_per_byte"] == pytest.approx(0.4 / np.log(2) / 4)


@pytest.mark.parametrize("level", [0.6, 1.2, 4.0])
def test_silent_within_the_range(level):
    assert fires(check, logged(level)) == []


def test_silent_without_the_number_of_bytes():
    assert fires(check, healthy(500)) == []
