"""Ranks without a name that write one log: the values of a step are averaged, and nothing else is."""

import math

import numpy as np
import pytest

from lmdiag.gather import run_of
from lmdiag.readers.tables.rows import Rows
from lmdiag.run import Run

STEPS = range(1, 61)


def loss(step: int, rank: int) -> float:
    return 2 + 4 * math.exp(-step / 20) + 0.01 * math.cos(step * (rank + 1))


def run(records: list[dict[str, float]]) -> Run:
    rows = Rows()
    for line, record in enumerate(records, 1):
        rows.add(record, line)
    return run_of(rows.log("jsonl", "a"))


def records(ranks: int = 2, **more: float) -> list[dict[str, float]]:
    """What each step has of every rank, whose order changes from step to step."""
    order = np.random.default_rng(0)
    return [
        {"step": step, "loss": loss(step, rank), "lr": 0.003, **more}
        for step in STEPS
        for rank in order.permutation(ranks).tolist()
    ]


@pytest.mark.parametrize("ranks", [2, 3, 8])
def test_values_of_a_step_are_averaged_and_said(ranks: int) -> None:
    whole = run(records(ranks))
    assert (whole.step_kind, whole["loss"].steps.tolist()) == ("step", list(STEPS))
    means = [np.mean([loss(step, rank) for rank in range(ranks)]) for step in STEPS]
    assert np.allclose(whole["loss"].values, means, rtol=1e-12)
    assert set(whole["lr"].values) == {0.003}
    assert f"Each step was written {ranks} times" in whole.notes[-1]


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_what_one_rank_logged_as_not_finite_is_not_lost(broken: float) -> None:
    logged = records()
    logged[81]["loss"] = broken
    whole = run(logged)
    assert whole["loss"].steps[~np.isfinite(whole["loss"].values)].tolist() == [41]


def test_metrics_of_the_first_rank_alone_and_in_records_of_their_own() -> None:
    logged = []
    for k, record in enumerate(records()):
        step = record["step"]
        logged += [{"step": step, "loss": record["loss"]}, {"step": step, "lr": record["lr"] * step}]
        if k % 20 == 19:
            logged.append({"step": step, "val/loss": 3.0})
    whole = run(logged)
    assert (len(whole["loss"]), len(whole["lr"])) == (60, 60)
    assert whole["val/loss"].steps.tolist() == [10, 20, 30, 40, 50, 60]
    assert whole["lr"].values.tolist() == [0.003 * step for step in STEPS]


def test_a_record_that_was_not_written_and_one_that_came_late() -> None:
    logged = records()
    del logged[31]
    logged.insert(60, logged.pop(52))
    assert run(logged)["loss"].steps.tolist() == list(STEPS)


@pytest.mark.parametrize(
    "logged",
    [
        [{**record, "micro_batch": k % 2} for k, record in enumerate(records())],
        [{"step": s, "loss": loss(s, 0)} for _ in range(2) for s in STEPS],
        [{"step": s, "loss": loss(s, 0) + 3 * generator} for s in STEPS for generator in (0, 1)],
    ],
    ids=["micro-batches are counted", "begun anew", "two losses"],
)
def test_other_steps_that_come_again_are_not_averaged(logged: list[dict[str, float]]) -> None:
    assert not any("the values are the means" in note for note in run(logged).notes)
