"""Cells into columns: what is a number, what is missing, and what is neither."""

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
