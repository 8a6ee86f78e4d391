"""Cells into columns: what is a number, what is missing, and what is neither."""

import numpy as np

from lmdiag.readers.tables.growing_column import GrowingColumn
from lmdiag.readers.tables.rows import LISTED_SKIPS, Rows


def test_columns_with_the_same_rows_share_them():
    rows = Rows()
    for step in range(3):
        rows.add({"step": step, "loss": 1.5, **({"val_loss": 2.0} if step else {})})
    columns = rows.columns
    assert columns["step"].rows is columns["loss"].rows
    assert columns["val_loss"].rows.tolist() == [1, 2]


def test_words_among_numbers_are_counted_and_words_alone_are_kept():
    rows = Rows()
    for line, loss in enumerate([1.5, "soon", 2.5, "?"], 1):
        rows.add({"loss": loss, "kind": "F"}, line)
    assert [(s.line, s.reason) for s in rows.skipped] == [(2, "not a number in \"loss\": 'soon'")]
    assert rows.texts["kind"][1] == ["F"] * 4


def test_many_skips_are_counted_and_not_all_listed():
    rows = Rows()
    for line in range(LISTED_SKIPS + 50):
        rows.skip(line, "torn")
    assert (len(rows.skipped), sum(s.count for s in rows.skipped)) == (LISTED_SKIPS + 1, LISTED_SKIPS + 50)


def test_step_of_total():
    rows = Rows()
    rows.add({"global_step/max_steps": "5/94"})
    assert rows.columns["global_step/max_steps"].values.tolist() == [5.0]


def test_numbers_of_blocks_and_of_single_rows_stand_in_the_order_of_their_rows():
    column = GrowingColumn()
    column.extend(np.arange(100, 200), np.ones(100))
    column.add(50, 2.0)
    column.extend(np.arange(10), np.zeros(10))
    rows, values = column.joined({})
    assert (len(column), rows.tolist()) == (111, [*range(10), 50, *range(100, 200)])
    assert values.tolist() == [0.0] * 10 + [2.0] + [1.0] * 100
    column.add(300, 3.0)  # a log that grows is asked again and again
    assert column.joined({})[0][-2:].tolist() == [199, 300]
