"""Blocks of lines that differ in their numbers alone: read as the plan of each line reads them, or not at all."""

from __future__ import annotations

import pytest

from lmdiag.readers.text.plans import learn
from lmdiag.readers.text.skeletons import Skeleton

LINE = "2026-01-05 step 12: top5 loss 2.5, lr 1.0e-04"
SKELETON = Skeleton(LINE, [(16, 18), (30, 33), (38, 45)], free=[(0, 4), (5, 7), (8, 10)])


def test_numbers_of_any_length_are_columns() -> None:
    other = "2026-01-06 step 1300: top5 loss -12.25, lr 0.5"
    columns = SKELETON.columns(f"{LINE}\n{other}")
    assert columns is not None
    assert [column.tolist() for column in columns] == [[12, 1300], [2.5, -12.25], [1e-4, 0.5]]


@pytest.mark.parametrize(
    "other",
    [
        "2026-01-05 step 13: top5 loss nan, lr 1.0e-04",
        "2026-01-05 step 13: top5 loss , lr 1.0e-04",
        "2026-01-05 step 13: top5 loss , lr 1.0e-04 2.5",
        "2026-01-05 step 13: top5 loss 2, lr 1.0e-04",
        "2026-01-05 step 13.5: top5 loss 2.5, lr 1.0e-04",
        "2026-01-05 step -13: top5 loss 2.5, lr 1.0e-04",
        "2026-01-05 step 13: top1 loss 2.5, lr 1.0e-04",
        "2026-1-05 step 13: top5 loss 2.5, lr 1.0e-04",
        "2026-01-05 step 13: top5 loss 2.5.1, lr 1.0e-04",
        "2026-01-05 step 13: top5 loss 2.5, lr 1.0e-04 of 3",
        "2026-01-05 step 1 3: top5 loss 2.5, lr 1.0e-04",
        "2026-01-05 step 13: top5 loss 2.5; lr 1.0e-04",
        "",
    ],
)
def test_a_line_of_another_kind_spoils_the_block(other: str) -> None:
    assert SKELETON.columns(f"{LINE}\n{LINE}") is not None
    assert SKELETON.columns(f"{LINE}\n{other}") is None


def test_a_sign_that_is_no_part_of_the_number_is_none_of_its_value() -> None:
    with pytest.raises(ValueError, match="no word of its own"):
        Skeleton("loss-2.5", [(5, 8)])


def test_an_exponent_that_is_not_read_may_be_no_number_of_the_text() -> None:
    line = "step 3: loss 2.5, lr 1e-4"
    narrow = Skeleton(line, [(5, 6), (13, 16)], free=[(21, 25)], letters=b"")
    columns = narrow.columns(f"{line}\nstep 4: loss 2.25, lr 1e-4")
    assert columns is not None
    assert [column.tolist() for column in columns] == [[3, 4], [2.5, 2.25]]


def test_without_a_skeleton_the_plan_reads_the_same() -> None:
    plan = learn(
        lambda text: [({"step": float(text.split()[1]), "loss": float(text.split()[3])}, "")], "step  7 loss 2.5"
    )
    assert plan is not None
    assert plan.skeletons
    lines = "\n".join(f"step {k:2d} loss {2 + 1 / (k + 1):.3f}" for k in range(20))
    fits, columns = plan.columns(lines)
    plan.skeletons = ()
    again, others = plan.columns(lines)
    assert fits.all()
    assert again.all()
    assert {name: column.tolist() for name, column in columns.items()} == {n: c.tolist() for n, c in others.items()}
