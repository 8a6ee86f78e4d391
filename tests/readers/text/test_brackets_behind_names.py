"""A number in brackets between a name and its value: a remark, or an index."""

import pytest

from lmdiag.readers.text import read
from lmdiag.sources.source import Source


def columns(form: str) -> dict[str, list[float]]:
    """Return the columns of a log whose loss is 9.5, 8.5, …"""
    text = "".join(form.format(s=s, v=10.5 - s) + "\n" for s in range(1, 5))
    (log,) = read(Source("x.log", content=text.encode()))
    return {name: column.values.tolist() for name, column in log.columns.items()}


@pytest.mark.parametrize(
    "form",
    [
        "step {s} loss (100 steps) {v} lr 1e-4",
        "step {s} loss[100] {v} lr 1e-4",
        "step {s} loss [2] {v} lr [0] 1e-4",
        "step {s} loss (ema 0.99) {v} lr: 1e-4",
        "step {s} | loss: {v} | lr[0]: 1e-4",
    ],
)
def test_the_value_stands_behind_the_bracket(form: str) -> None:
    found = columns(form)
    assert found["loss"] == [9.5, 8.5, 7.5, 6.5]
    assert found["lr"] == [1e-4] * 4


@pytest.mark.parametrize("form", ["step {s} | loss: {v} | time (ms): 812.5", "step {s} time (ms) 812.5 loss {v}"])
def test_a_unit_in_brackets_is_that_of_the_value(form: str) -> None:
    (log,) = read(Source("x.log", content="".join(form.format(s=s, v=10.5 - s) + "\n" for s in range(1, 5)).encode()))
    assert (log.columns["time"].values.tolist(), log.units["time"]) == ([812.5] * 4, "ms")
    assert log.columns["loss"].values.tolist() == [9.5, 8.5, 7.5, 6.5]


def test_nan_may_be_a_word_of_a_name() -> None:
    found = columns("step {s} | loss: {v} | number of nan iterations: 3")
    assert (found["number of nan iterations"], found["loss"]) == ([3.0] * 4, [9.5, 8.5, 7.5, 6.5])


def test_a_line_that_ends_with_a_unit_has_its_names_in_front() -> None:
    found = columns("Epoch {s} - Train Loss: {v} Validation Loss: 9.75 Time: 13.5 s")
    assert (found["Train Loss"], found["Validation Loss"]) == ([9.5, 8.5, 7.5, 6.5], [9.75] * 4)


def test_a_second_index_is_a_name_of_its_own() -> None:
    found = columns("step {s} | loss: {v} | lr[0]: 1e-4 | lr[1]: 1e-5")
    assert (found["lr"], found["lr_1"]) == ([1e-4] * 4, [1e-5] * 4)
    found = columns("step {s} loss[1] {v} loss[2] 3.5")
    assert (found["loss"], found["loss_2"]) == ([9.5, 8.5, 7.5, 6.5], [3.5] * 4)


@pytest.mark.parametrize("form", ["step {s} loss {v} (9.0) lr [1e-4]", "step {s} loss [{v}] lr (1e-4)"])
def test_a_number_that_stands_alone_in_brackets_is_a_value(form: str) -> None:
    found = columns(form)
    assert (found["loss"], found["lr"]) == ([9.5, 8.5, 7.5, 6.5], [1e-4] * 4)


@pytest.mark.parametrize(
    "last",
    [
        "val_losses = [4.5, 3.5, 3.25]",
        "val_losses: [4.5 3.5 3.25]",
        "{'train_loss': [9.5, 6.5], 'val_loss': [4.5, 3.5]}",
    ],
)
def test_a_list_without_steps_is_no_evaluation_and_said(last: str) -> None:
    text = "".join(f"step {s} loss {10.5 - s}\n" for s in range(1, 5)) + last
    (log,) = read(Source("x.log", content=text.encode()))
    assert sorted(log.columns) == ["loss", "step"]
    assert "1 list of losses was not used, the first is line 5" in log.notes
