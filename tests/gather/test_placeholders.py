"""NaN where nothing was measured is no value; NaN that came in the place of one is."""

import math

import numpy as np
import pytest

from lmdiag.gather import run_of
from lmdiag.readers.tables.rows import Rows
from lmdiag.run import Run

NAN = math.nan
N = 120


def run(**columns) -> Run:
    rows = Rows()
    for step in range(N):
        record = {"step": 10.0 * step, "loss": 2 + 8 / (1 + step)}
        rows.add({**record, **{name: float(values[step]) for name, values in columns.items()}}, step + 1)
    return run_of(rows.log("jsonl", "a"))


def every(interval: int, first: int = 0) -> np.ndarray:
    values = np.full(N, NAN)
    values[first::interval] = 9 / np.arange(2, 2 + len(values[first::interval]))
    return values


@pytest.mark.parametrize(("interval", "first"), [(2, 0), (10, 0), (10, 9), (25, 0), (7, 3)])
@pytest.mark.parametrize("name", ["val_loss", "distill_loss"])
def test_nan_between_evaluations_is_not_measured(name: str, interval: int, first: int) -> None:
    values = every(interval, first)
    found = run(**{name: values})
    series = found["val/loss" if name == "val_loss" else name]
    assert series.values.tolist() == values[first::interval].tolist()
    assert series.steps.tolist() == list(range(10 * first, 10 * N, 10 * interval))
    gone = N - len(series)
    assert f'{gone} NaN in "{name}" were taken as "not measured"' in found.notes


def test_an_evaluation_at_the_end_may_come_early() -> None:
    values = every(10)
    values[-1] = 0.5
    assert len(run(val_loss=values)["val/loss"]) == 13


def test_intervals_may_differ_a_little() -> None:
    values, at = np.full(N, NAN), [11, 23, 34, 46, 57, 69, 80, 92, 103, 115]
    values[at] = 9 / np.arange(2, 12)
    assert run(val_loss=values)["val/loss"].steps.tolist() == [10 * row for row in at]


@pytest.mark.parametrize("bad", [[50], [90, 100, 110]], ids=["once", "to the end"])
def test_nan_in_the_place_of_an_evaluation_was_measured(bad: list[int]) -> None:
    values = every(10)
    values[bad] = NAN
    series = run(val_loss=values)["val/loss"]
    assert len(series) == N // 10
    assert series.steps[np.isnan(series.values)].tolist() == [10 * row for row in bad]


@pytest.mark.parametrize(
    "bad",
    [[60], range(60, N), range(0, N, 10), range(30, 80), [7, 12, 40], range(3, N)],
    ids=["once", "to the end", "each tenth", "a stretch", "three", "all but the first"],
)
def test_nan_among_values_stays(bad: list[int]) -> None:
    values = np.linspace(5, 3, N)
    values[list(bad)] = NAN
    found = run(aux_loss=values)
    assert np.flatnonzero(np.isnan(found["aux_loss"].values)).tolist() == list(bad)


def test_nan_at_random_stays() -> None:
    values = np.where(np.random.default_rng(0).random(N) < 0.7, NAN, 2.5)
    assert len(run(aux_loss=values)["aux_loss"]) == N


def test_a_loss_is_not_measured_in_the_records_of_evaluations() -> None:
    values, losses = every(10, 5), np.linspace(5, 3, N)
    losses[5::10] = NAN
    found = run(loss=losses, val_loss=values)
    assert (len(found["loss"]), len(found["val/loss"])) == (N - 12, 12)
    assert np.isfinite(found["loss"].values).all()
    losses[60] = NAN
    assert np.isnan(run(loss=losses, val_loss=values)["loss"].values).sum() == 13


def test_nan_of_one_process_of_two_stays() -> None:
    rows = Rows()
    for line in range(2 * N):
        rows.add({"step": float(line // 2), "loss": 3 - line / N if line % 2 else NAN}, line + 1)
    assert np.isnan(run_of(rows.log("jsonl", "a"))["loss"].values).any()


@pytest.mark.parametrize("interval", [2, 3])
def test_each_second_loss_may_be_nan_where_nothing_else_was_measured(interval: int) -> None:
    rows = Rows()
    for step, value in enumerate(every(interval), 1):
        rows.add({"step": float(step), "loss": float(value)}, step)
    found = run_of(rows.log("jsonl", "a"))["loss"]
    assert len(found) == (N if interval == 2 else N // 3)


@pytest.mark.parametrize(("lr", "kept"), [(0.0, False), (1e-4, True)])
def test_a_record_of_zeros_beside_one_of_the_same_step_is_none(lr: float, kept: bool) -> None:
    rows, line = Rows(), 0
    for step in range(10, 310, 10):
        rows.add({"step": float(step), "loss": 254 - step / 50, "reg": 2e-5, "lr": 1e-4}, line := line + 1)
        if step % 50 == 0:
            rows.add({"step": float(step), "loss": 0.0, "reg": 0.0, "lr": lr}, line := line + 1)
    found = run_of(rows.log("jsonl", "a"))
    assert (found["loss"].values == 0).any() == kept
    assert kept == (not any("6 records of zeros" in note for note in found.notes))
