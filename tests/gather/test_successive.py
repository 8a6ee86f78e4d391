"""A training loss that goes on under another name is one curve; what only stands behind it is not."""

import math

import pytest

from lmdiag.gather import run_of
from lmdiag.readers.tables.rows import Rows


def gathered(*parts, step="step", **more):
    """Return the run of a log of (name, steps, values) one after the other."""
    rows = Rows()
    for name, steps, values in parts:
        for at, value in zip(steps, values, strict=True):
            rows.add({step: at, name: value})
    return run_of(rows.log("made", "a", **more))


FIRST = ("loss", range(1, 9), [9.0 - k for k in range(8)])
NEXT = range(9, 13)
ON = [1.5, math.nan, 7.0, 8.0]


@pytest.mark.parametrize("name", ["train_loss", "train/loss", "lm loss", "loss (table)", "TrainLoss"])
def test_a_loss_under_another_name_goes_on(name):
    run = gathered(FIRST, (name, NEXT, ON), names={"loss (table)": "loss"})
    assert run["loss"].steps.tolist() == list(range(1, 13))
    assert run["loss"].values[8:].tolist() == pytest.approx(ON, nan_ok=True)
    assert list(run.series) == ["loss"]
    assert f'the loss is "loss", then "{name}" from step 9 on: one curve' in run.notes
    told = {column.name: (column.values, column.metrics) for column in run.account.columns}
    assert (told["loss"], told[name]) == ((8, ("loss",)), (4, ("loss",)))


def test_three_names_are_one_curve():
    run = gathered(FIRST, ("train_loss", NEXT, ON), ("lm_loss", range(13, 17), [4.0] * 4))
    assert run["loss"].steps.tolist() == list(range(1, 17))


@pytest.mark.parametrize(
    "other",
    [
        ("train_loss", [9], [4.5]),  # one value sums up
        ("train_loss", range(5, 9), ON),  # the same steps again
        ("avg_loss", NEXT, ON),
        ("final train loss", NEXT, ON),
        ("train_bits_per_token", NEXT, ON),
        ("aux_loss", NEXT, ON),
        ("val_loss", NEXT, ON),
    ],
)
def test_another_column_behind_the_loss_is_its_own(other):
    run = gathered(FIRST, other)
    assert run["loss"].steps.tolist() == list(range(1, 9))
    assert len(run.series) == 2


def test_other_units_and_reductions_are_other_curves():
    for more in ({"units": {"train_loss": "bits"}}, {"reductions": {"train_loss": "epoch_mean"}}):
        assert len(gathered(FIRST, ("train_loss", NEXT, ON), **more)["loss"]) == 8


def test_without_steps_nothing_says_that_it_goes_on():
    assert len(gathered(FIRST, ("train_loss", NEXT, ON), step="unknown_word")["loss"]) == 8
