"""Decimals with a comma, told from thousands name by name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmdiag.readers.text.decimal_commas import are_decimals, decimal_names, with_points
from lmdiag.readers.text.recognise import begin
from tests.readers.text.prints import points, run_of


def test_decimal_commas() -> None:
    text = "".join(f"10:00:0{k},125 epoch {k} loss: 4,{500 - k} val_loss: 4,{700 - k}\n" for k in (1, 2, 3))
    run = run_of(text)
    assert points(run, "loss") == [(1, 4.499), (2, 4.498), (3, 4.497)]
    assert any("comma" in note for note in run.notes)


def test_decimal_commas_of_a_growing_log() -> None:
    lines = [f"epoch {k} loss: 4,{500 - k}\n" for k in range(1, 6)]
    growing = begin("a.log", "".join(lines[:3]))
    for line in lines:
        growing.feed(line)
    (log,) = growing.logs()
    assert log.columns["loss"].values.tolist() == [4.499, 4.498, 4.497, 4.496, 4.495]


@pytest.mark.parametrize("text", ["step 1,000 loss 2.5\nstep 2,000 loss 2.4\n", "gpus 0,1 loss 2.5\n" * 5, "loss 2.5"])
def test_thousands_are_no_decimals(text: str) -> None:
    assert not decimal_names(text)


@pytest.mark.parametrize(
    ("template", "names"),
    [
        ("step {k} loss 4,{k}12 tokens 1,{k}00 lr 0,001", ["loss", "lr"]),
        ("step {k} loss 2.{k} tokens 1,{k}00", []),
        ("epoch {k}: Verlust: 4,{k}1, Zeit: 12,{k}", ["Zeit", "loss"]),
        ("epoch {k} | perda: 4,{k}12 | ppl 31,{k}00 | tokens: 12,{k}00", ["loss", "ppl"]),
        ("step {k} loss 412,{k}01", []),
        ("step 1,{k}00 epoch 1,{k} ppl 31,{k}00", []),
        ("Época {k} - Pérdida: 4,{k}12 - Pérdida de validación: 4,{k}13", ["loss", "val loss"]),
        ("gpus 0,{k} loss 2.5", []),
    ],
)
def test_commas_are_settled_name_by_name(template: str, names: list[str]) -> None:
    text = "\n".join(template.format(k=k) for k in (1, 2, 3))
    assert sorted(decimal_names(text)) == names


def test_one_name_has_decimals_and_another_thousands() -> None:
    run = run_of("".join(f"step {k} loss 4,{500 - k} tokens 1,{k}00\n" for k in (1, 2, 3)))
    assert points(run, "loss") == [(1, 4.499), (2, 4.498), (3, 4.497)]
    assert points(run, "tokens") == [(1, 1100), (2, 1200), (3, 1300)]
    assert sum("comma" in note for note in run.notes) == 1


@given(
    st.lists(st.tuples(st.integers(0, 99), st.integers(0, 9999)), min_size=2), st.sampled_from(("loss", "tokens", ""))
)
def test_what_cannot_be_thousands_is_decimal(numbers: list[tuple[int, int]], measure: str) -> None:
    parts = [(str(whole), f"{rest:04d}") for whole, rest in numbers]
    assert are_decimals(measure, parts)
    text = "\n".join(f"loss {whole},{rest}" for whole, rest in parts)
    assert with_points(text, decimal_names(text)) == text.replace(",", ".")
