"""A run that ends on a slope could have gone on; one that is annealed, flat or unfinished is not judged."""

import numpy as np
import pytest

from lmdiag.rules.convergence.still_improving import check
from tests.rules.curves import cosine_lr, fires, healthy, run, series

AT = np.arange(1, 1001)
SLOPE = 1 + 6 * (AT / 10) ** -0.3 + np.random.default_rng(0).normal(0, 0.01, 1000)


def test_fires_with_what_more_steps_buy():
    (found,) = fires(check, run(loss=SLOPE, lr=np.full(1000, 1e-3)))
    truth = 6 * 100**-0.3 - 6 * 125**-0.3
    assert found.evidence["expected_gain"] == pytest.approx(truth, rel=0.25)
    assert "step 1,250" in found.advice[0]
    assert "decay" in found.advice[1]


@pytest.mark.parametrize(
    "made",
    [
        run(loss=SLOPE, lr=cosine_lr(1000)),
        run(loss=SLOPE, config={"max_steps": 5000}),
        run(loss=SLOPE, val__loss=series([3, 2.5, 2.6, 2.7], every=250, first=250)),
        run(loss=2 + 6 * np.exp(-AT / 50) + np.random.default_rng(0).normal(0, 0.02, 1000)),
        run(loss=SLOPE, first=50_000),
        run(loss=np.r_[SLOPE[:700], np.full(300, np.inf)]),
        run(loss=np.r_[SLOPE[:999], np.nan]),
        run(loss=1 + 6 * (np.minimum(AT, 750) / 10) ** -0.3 + np.random.default_rng(3).normal(0, 0.01, 1000)),
    ],
    ids=[
        "annealed",
        "unfinished",
        "evaluation rises",
        "flat",
        "tail",
        "infinite from there on",
        "NaN at the end",
        "flat for the last quarter",
    ],
)
def test_silent_otherwise(made):
    assert fires(check, made) == []


def test_silent_on_healthy_runs():
    for seed in range(6):
        assert fires(check, healthy(500, seed)) == []


def test_the_prediction_starts_at_the_level_of_the_log():
    loss = 4.2 - 2.6 * (np.arange(1, 61) / 60) ** 0.5 + np.random.default_rng(1).normal(0, 0.02, 60)  # no power law
    (found,) = fires(check, run(loss=loss))
    assert found.evidence["level"] == pytest.approx(np.median(loss[-6:]), abs=0.05)


def test_a_rate_that_still_warms_up_is_not_to_decay():
    (found,) = fires(check, run(loss=SLOPE, lr=np.linspace(1e-6, 1e-3, 1000)))
    assert len(found.advice) == 1
