"""A forecast holds the end of law-like runs, and is withheld where no law can hold."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.forecast import held_out, made_run
from lmdiag.forecast import forecast
from lmdiag.run import Run, Series
from tests.rules.curves import falling, healthy, run, series


def test_covers_nine_of_ten_made_runs():
    held = [h for seed in range(25) for h in held_out(made_run(seed), str(seed))]
    assert len(held) >= 90
    assert np.mean([h.covered for h in held]) >= 0.85
    assert np.median([(h.high - h.low) / h.truth for h in held]) < 0.2


def test_the_plan_comes_from_the_header():
    made = forecast(run(loss=falling(600), config={"max_steps": 1200}))
    assert (made.step, made.more_steps, made.schedule) == (1200, 1500, "unknown")
    assert made.low < made.loss < made.high < 3.6


def test_a_logged_rate_is_continued():
    rates = 1e-3 * (1 - np.arange(600) / 1000)
    assert forecast(run(loss=falling(600), lr=rates, config={"max_steps": 1000})).schedule == "linear"


def test_a_flat_tail_was_spent_for_nothing():
    loss = np.r_[np.linspace(8, 3, 300), np.full(700, 3.0)] + np.random.default_rng(0).normal(0, 0.02, 1000)
    made = forecast(run(loss=loss))
    assert made.wasted == pytest.approx(0.7, abs=0.08)
    assert made.gain_low == 0


def test_the_best_evaluation_is_the_last_useful_step():
    evaluations = series([4, 3.2, 2.8, 2.9, 3.1, 3.4], every=100, first=100)
    assert forecast(run(loss=falling(600), val__loss=evaluations)).useful_step == 300


@pytest.mark.parametrize(
    "made",
    [
        Run("empty", {}),
        run(loss=falling(10)),
        run(loss=falling(300), config={"max_steps": 5000}),
        run(loss=falling(300), objective="reinforcement"),
        run(loss=np.r_[falling(300), np.linspace(3, 8, 200)]),
        run(loss=falling(300), first=5000),
    ],
    ids=["empty", "short", "early", "reinforcement", "diverged", "tail"],
)
def test_withheld(made):
    assert forecast(made) is None


def test_does_not_change_its_run():
    made = healthy(300)
    before = made["loss"].values.copy()
    forecast(replace(made, config={"max_steps": 400}))
    assert np.array_equal(before, made["loss"].values)


def test_a_million_points_are_quick():
    from time import process_time

    steps = np.arange(1, 1_000_001)
    loss = 2 + 6 * (steps / 1000) ** -0.5 + np.random.default_rng(0).normal(0, 0.05, len(steps))
    start = process_time()
    assert forecast(Run("long", {"loss": Series(steps, loss)})) is not None
    assert process_time() - start < 3
