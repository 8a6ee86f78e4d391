"""A scale that falls to nothing is an error; the search at the start and single halvings are not."""

from dataclasses import replace

import numpy as np
import pytest

from lmdiag.finding import Severity
from lmdiag.rules.numerics.loss_scale_collapse import check
from lmdiag.run import Event, Segment
from tests.rules.curves import falling, fires, healthy, run, series


def scaled(scales, every: int = 1, **more):
    return run(loss=falling(len(scales)), loss_scale=np.asarray(scales, float), every=every, **more)


def collapse(n: int = 400, at: int = 300, to: float = 1.0) -> np.ndarray:
    halved = 65536.0 * 0.5 ** np.arange(1, n - at + 1)
    return np.r_[np.full(at, 65536.0), np.maximum(halved, to)]


def test_a_scale_of_one_is_an_error():
    (found,) = fires(check, scaled(collapse()))
    assert found.severity is Severity.ERROR
    assert 300 <= found.first_step <= 320
    assert found.evidence["end"] == 1


def test_a_scale_that_starts_at_128_can_collapse_too():
    (found,) = fires(check, scaled(np.maximum(collapse() / 512, 2.0**-11)))
    assert found.severity is Severity.ERROR


def test_five_halvings_at_once_are_a_warning():
    (found,) = fires(check, scaled(collapse(to=1024)))
    assert found.severity is Severity.WARNING


def test_many_skipped_updates_are_a_warning():
    (found,) = fires(check, scaled(np.full(1000, 4096.0), skipped=np.arange(1000) % 8 == 0))
    assert found.severity is Severity.WARNING
    assert "118 of the 950 updates from step 51 on were skipped" in found.message


@pytest.mark.parametrize(
    "scales",
    [
        np.ones(400),  # bf16
        np.r_[2.0 ** np.arange(6, -1, -1), np.ones(393)],  # the search of a scale that starts low
        np.r_[2.0 ** np.arange(32, 15, -1), np.full(383, 32768.0)],  # the search for the first scale
        np.tile([65536.0] * 40 + [32768.0] * 40, 5),  # single halvings
        2.0 ** np.round(np.linspace(16, 7, 5000)),  # slowly, as gradients grow
        collapse(400, 200, 256)[[*range(300), *range(100)]],  # back again
    ],
)
def test_silent(scales):
    assert fires(check, scaled(scales)) == []


def test_the_skips_of_the_search_do_not_count():
    skipped = np.zeros(120)
    skipped[:20] = 1
    assert fires(check, scaled(np.full(120, 4096.0), skipped=skipped)) == []
    assert check.missing(healthy(100)) == "the log has no loss_scale"


@pytest.mark.parametrize(
    ("scales", "severity"),
    [
        (0.25 / 2.0 ** np.arange(12), Severity.ERROR),
        (32768 / 2.0 ** np.arange(8), Severity.WARNING),
        (32768 / 2.0 ** np.repeat(np.arange(8), 2), Severity.WARNING),  # as each of two ranks tells
        (32768 / 2.0 ** np.arange(6), None),
        (np.r_[4096, 2048, 1024, 2048, 1024, 512, 1024, 512, 256], None),  # it grew between
    ],
)
def test_halvings_in_a_row_behind_the_last_record(scales, severity):
    told = [Event("skipped_step", 60, "overflow", {"loss_scale": float(scale)}) for scale in scales]
    before = [Event("skipped_step", 30, "overflow", {"loss_scale": 2.0**-k}) for k in range(12)]
    made = run(loss=falling(60), loss_scale=np.full(60, 65536.0))
    found = fires(check, replace(made, events=(*before, *told)))
    assert [f.severity for f in found] == ([severity] if severity else [])
    few = run(loss=falling(4), loss_scale=np.full(4, 65536.0))
    assert fires(check, replace(few, events=tuple(replace(event, step=4) for event in told))) == []


@pytest.mark.parametrize("records", [1, 400])
def test_a_program_that_can_halve_its_scale_no_further_is_an_error(records):
    said = Event("smallest_scale", None, "Current loss scale already at minimum")
    (found,) = fires(check, replace(scaled(collapse(to=512)[-records:]), events=[said]))
    assert found.severity is Severity.ERROR
    assert found.message.endswith("can fall no further: Current loss scale already at minimum")
    assert found.last_step == records
    assert found.first_step == records or 300 <= found.first_step <= 320


def test_a_scale_that_a_resumed_run_no_longer_has_is_no_collapse():
    scales = series(collapse(to=1))
    goes_on = run(loss=falling(900), loss_scale=scales)
    assert [f.severity for f in fires(check, goes_on)] == [Severity.ERROR]
    resumed = (Segment(1, 400, 0), Segment(380, 900, 400))
    assert fires(check, replace(goes_on, segments=resumed)) == []
    stopped = run(loss=falling(400), loss_scale=scales)
    assert len(fires(check, replace(stopped, segments=resumed))) == 1
